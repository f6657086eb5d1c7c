"""How kopf speaks to the API server: as whom, and asking for the metadata of objects alone.

A mark needs an object's labels, no more. Of a spec and a status, of Secrets above all, nothing is
sent, parsed and held for the watches; `kube` reads whole objects when a network is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import aiohttp
import kopf

#: What the API server makes of an object where only its metadata is asked for, one or many.
_ONE: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MANY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def log_in(watched: Iterable[str], **given: Any) -> kopf.AiohttpSession | None:
    """Return a session as the pod's ServiceAccount, or else as the kubeconfig says.

    `watched`: plurals of the kinds of which only metadata is read; `given`: what kopf hands to a
    login handler. None where nothing says who we are. kopf closes the session.
    """
    found = kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)
    if found is None:
        return None
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
        headers=found.as_http_headers(),
        proxy=found.proxy_url,
        # HTTPS_PROXY is for what lies outside; NO_PROXY seldom names the API server.
        trust_env=False,
        middlewares=(_MetadataOnly(watched),),
        response_class=_Response,
    )
    return kopf.AiohttpSession(
        server=found.server,
        default_namespace=found.default_namespace,
        expiration=found.expiration,
        aiohttp_session=session,
    )


class _MetadataOnly:
    """Asks for metadata wherever objects of these kinds are listed or watched."""

    def __init__(self, watched: Iterable[str]) -> None:
        self._watched = frozenset(watched)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.method == "GET" and request.url.name in self._watched:
            request.headers["Accept"] = _ONE if "watch" in request.url.query else _MANY
        return await handler(request)


class _Response(aiohttp.ClientResponse):
    """An answer as kopf expects it: of metadata an empty list's items are null, else `[]`."""

    async def json(self, **given: Any) -> Any:
        answer = await super().json(**given)
        if isinstance(answer, dict) and "items" in answer and answer["items"] is None:
            answer["items"] = []
        return answer

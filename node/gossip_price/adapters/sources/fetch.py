"""One bounded GET: a small JSON body, or a labelled reason why there is none.

Knows nothing of prices. Asks no second time: whoever calls decides about that.
"""

from __future__ import annotations

import asyncio
import zlib
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from gossip_price import __version__
from gossip_price.adapters.sources.answer import WrongAnswerError

#: Coinbase's answer, the largest of the presets, has about 650 rates in 25 KiB.
BODY_BYTES_MAX: Final = 64 * 1024
#: What servers call JSON, or forget to; the body is parsed either way. HTML is not among them.
_CONTENT_TYPES: Final = frozenset(
    {"", "application/json", "text/json", "text/plain", "text/javascript"}
)


def make_client(proxy: str | None = None) -> httpx.AsyncClient:
    """Return a client for `fetch`; `proxy` is a URL.

    No proxy, certificate or netrc is taken from the environment (trust_env): a variable meant
    for something else on this machine must not decide where prices come from. Redirects are
    not followed: the presets answer directly, so a redirect is a consent page, a captive
    portal or a moved server, and each of those is for a person to look at.
    """
    return httpx.AsyncClient(
        headers={
            "accept": "application/json",
            "accept-encoding": "gzip",
            "user-agent": f"gossip-price/{__version__}",
        },
        # No cookies: a server could hand us a new one each round, to be kept for ever.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        proxy=proxy,
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - httpx's are for each read; ours in `fetch` is for the whole
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
    )


async def fetch(client: httpx.AsyncClient, url: str, timeout_s: float) -> bytes:
    """Return the body of `url`, at most BODY_BYTES_MAX, whole within `timeout_s`.

    Raises WrongAnswerError with the reason.
    """
    try:
        async with asyncio.timeout(timeout_s):
            async with client.stream("GET", url) as response:
                _check_head(response)
                return await _read_body(response)
    except TimeoutError:
        raise WrongAnswerError("timeout", f"no whole answer within {timeout_s:g} s") from None
    except httpx.TransportError as error:
        reason = "protocol" if isinstance(error, httpx.ProtocolError) else "connection"
        raise WrongAnswerError(reason, type(error).__name__) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise WrongAnswerError("request", type(error).__name__) from error


def _check_head(response: httpx.Response) -> None:
    status = response.status_code
    if 300 <= status < 400:
        raise WrongAnswerError("redirect", f"status {status}, redirects are not followed")
    if status == 429:
        raise WrongAnswerError("http_429", "asked too often")
    if status != 200:
        # One label for a hundred codes: the exact one is in the detail.
        raise WrongAnswerError(f"http_{status // 100}xx", f"status {status}")
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in _CONTENT_TYPES and not content_type.endswith("+json"):
        raise WrongAnswerError("content_type", f"{content_type[:60]!a} is not JSON")


async def _read_body(response: httpx.Response) -> bytes:
    """Read raw bytes and inflate them here: httpx would inflate a whole chunk at once, and
    64 KiB of gzip can hold 64 MiB."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise WrongAnswerError("encoding", f"{encoding[:60]!a} was not asked for")
    inflate = None if encoding == "identity" else zlib.decompressobj(wbits=47)  # gzip or zlib
    body = bytearray()
    received = 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        try:
            body += inflate.decompress(chunk, BODY_BYTES_MAX + 1 - len(body)) if inflate else chunk
        except zlib.error as error:
            raise WrongAnswerError("encoding", str(error)) from None
        if max(len(body), received) > BODY_BYTES_MAX:
            raise WrongAnswerError("too_large", f"more than {BODY_BYTES_MAX} bytes")
    if inflate is not None and not inflate.eof:
        raise WrongAnswerError("encoding", "the compressed body ends too early")
    return bytes(body)

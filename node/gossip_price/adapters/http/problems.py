"""Everything that is not what was asked for, as a JSON problem (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

#: A problem repeats what was given up to this length.
GIVEN_MAX: Final = 200
#: What helps where the router found nothing.
_REMEDIES: Final = {
    404: "there is no such path; /docs describes the API",
    405: "allowed: GET and HEAD",
}


class ProblemError(HTTPException):
    """An answer that is a problem; `parameter` names what of the request is at fault, if it is."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        parameter: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.parameter = parameter


def make_problem(
    status: int,
    detail: str,
    *,
    parameter: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if parameter is not None:
        problem["parameter"] = parameter
    return JSONResponse(
        problem,
        status_code=status,
        headers={"cache-control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )


async def show_http_problem(request: Request, error: Exception) -> Response:
    """Answer for what a route, or the router, raised."""
    if isinstance(error, ProblemError):
        return make_problem(
            error.status_code, error.detail, parameter=error.parameter, headers=error.headers
        )
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    detail = f"{request.method} {request.url.path[:GIVEN_MAX]}"
    if status in _REMEDIES:
        detail = f"{detail}: {_REMEDIES[status]}"
    return make_problem(status, detail, headers=headers)


async def show_own_problem(request: Request, error: Exception) -> Response:
    """Answer for our own mistake; Starlette raises it again and the server logs it whole."""
    return await show_http_problem(request, error)

"""Forms and queries: read whole, bounded, every parameter in its place."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from mesh.runtime.errors import MeshError
from palestra.identity.v1.oauth_service_pb2 import OAuthParameter

LARGEST_FORM = 32 << 10
LONGEST_QUERY = 16 << 10
MOST_PARAMETERS = 40
LONGEST_NAME, LONGEST_VALUE = 64, 8192
_FORM = "application/x-www-form-urlencoded"
Pairs = list[tuple[str, str]]


async def form(request: Request) -> Pairs:
    """The fields of a form, in their order.

    Raises:
        MeshError: INVALID_FIELD where it is none, too large, or cannot be read.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != _FORM:
        raise MeshError("INVALID_FIELD", f"the body is to be {_FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise MeshError("INVALID_FIELD", "the form is too large")
    return pairs(bytes(body).decode("latin-1"))


def query(request: Request) -> Pairs:
    """The parameters of the address, in their order.

    Raises:
        MeshError: INVALID_FIELD where there are too many, or they cannot be read.
    """
    if len(request.url.query) > LONGEST_QUERY:
        raise MeshError("INVALID_FIELD", "the address is too long")
    return pairs(request.url.query)


def pairs(text: str) -> Pairs:
    """The parameters of a query.

    Raises:
        MeshError: INVALID_FIELD where there are too many, or they cannot be read.
    """
    try:
        found = parse_qsl(
            text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"
        )
    except ValueError:
        raise MeshError("INVALID_FIELD", "the parameters cannot be read") from None
    for name, value in found:
        if len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise MeshError("INVALID_FIELD", "a parameter is too long")
    return found


def parameters(told: Pairs) -> list[OAuthParameter]:
    """Pairs as identity takes them."""
    return [OAuthParameter(name=name, value=value) for name, value in told]

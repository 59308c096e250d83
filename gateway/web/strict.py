"""Answers the edge's question whether a request's body has fields that nobody knows.

Owns the answer's shape: 200, or the refusal that the client gets as it is. What is
unknown is `gateway.strict`'s to find.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway import strict
from gateway.strict import Bodies
from gateway.web import refusals
from gateway.web.host import Host
from mesh import policy
from mesh.runtime.errors import MeshError


def mount(host: Host) -> Sequence[BaseRoute]:
    """The page behind the edge's question; no page of the table leads there."""
    bodies = Bodies(policy.load(host.settings.contract))

    async def check(request: Request) -> Response:
        path = request.url.path.removeprefix(strict.PREFIX)
        # The edge has refused what is larger than it lets through.
        found = bodies.findings(request.method, path, await request.body())
        if not found:
            return Response()
        return refusals.response(_refusal(found))

    below = strict.PREFIX + "/{path:path}"
    return [Route(below, check, methods=list(strict.VERBS))]


def _refusal(found: list[strict.Finding]) -> MeshError:
    said = "; ".join(f"{each.path}: {each.what}" for each in found)
    return MeshError("INVALID_FIELD", said, violations=[(each.path, each.what) for each in found])

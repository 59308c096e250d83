"""What the edge's own process answers before anything mounted in it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.web.app import build
from gateway.web.host import Host
from gateway.web.settings import WebSettings
from mesh.runtime.errors import MeshError, Unavailable
from tests.unit.web.asked import ask

PROOF = "a-proof-of-the-edge"
SHOWN = [("x-palestra-mesh-proof", PROOF)]


def mounted(_: Host) -> Sequence[BaseRoute]:
    async def said(_: Request) -> Response:
        return PlainTextResponse("said")

    async def busy(_: Request) -> Response:
        raise Unavailable("the store rests", retry_after_s=2)

    async def broken(_: Request) -> Response:
        raise RuntimeError("postgres://user:password@host")

    async def refused(_: Request) -> Response:
        raise MeshError("ROLE_MISSING")

    return [Route(f"/{each.__name__}", each) for each in (said, busy, broken, refused)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    proof = tmp_path / "proof"
    proof.write_text(f"{PROOF}\n")
    return Host(WebSettings(listen="unix:/nowhere", mesh="unix:/nowhere", mesh_proof_file=proof))


async def test_what_the_edge_sent_is_answered(host: Host) -> None:
    answer = await ask(build(host, (mounted,)), "/said", SHOWN)
    assert (answer.status, answer.body) == (200, b"said")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-palestra-mesh-proof", "")],
        [("x-palestra-mesh-proof", "guessed")],
        [*SHOWN, *SHOWN],
        [("x-palestra-mesh-proof", "guessed"), *SHOWN],
    ],
)
async def test_what_did_not_come_through_the_edge_is_refused(
    host: Host, headers: list[tuple[str, str]]
) -> None:
    answer = await ask(build(host, (mounted,)), "/said", headers)
    assert (answer.status, answer.reason) == (401, "OUTSIDE_MESH")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/busy", 503, "UNAVAILABLE"),
        ("/refused", 403, "ROLE_MISSING"),
        ("/nowhere", 404, "METHOD_UNKNOWN"),
        ("/said/", 404, "METHOD_UNKNOWN"),
    ],
)
async def test_errors_are_the_contracts(host: Host, path: str, status: int, reason: str) -> None:
    answer = await ask(build(host, (mounted,)), path, SHOWN)
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.headers["content-type"] == "application/json"


async def test_a_wrong_verb_is_told_the_right_ones(host: Host) -> None:
    answer = await ask(build(host, (mounted,)), "/said", SHOWN, "POST")
    assert (answer.status, answer.reason) == (405, "METHOD_UNKNOWN")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_when_to_come_again_is_said(host: Host) -> None:
    assert (await ask(build(host, (mounted,)), "/busy", SHOWN)).headers["retry-after"] == "2"


async def test_an_unforeseen_error_is_masked(host: Host) -> None:
    answer = await ask(build(host, (mounted,)), "/broken", SHOWN)
    assert (answer.status, answer.reason) == (500, "UNEXPECTED")
    assert b"postgres" not in answer.body
    assert b"RuntimeError" not in answer.body


async def test_health_needs_no_proof_and_turns_when_the_process_will_end(host: Host) -> None:
    app = build(host)
    assert (await ask(app, "/healthz", [])).status == 200
    host.leaving.set()
    assert (await ask(app, "/healthz", [])).status == 503


def test_a_process_without_a_proof_does_not_start(host: Host) -> None:
    host.settings.mesh_proof_file.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        build(host)

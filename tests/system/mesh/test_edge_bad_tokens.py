"""No bad token comes past the edge, by whatever way: the services never see it.

Each token of the table, over REST, gRPC and a WebSocket's handshake, through the real edge;
that it was the edge that refused is read from its own count of what it passed on.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator

import grpc
import httpx
import pytest

from gateway.pages import TELEMETRY
from mesh.control.resources import filters, strict_tokens
from mesh.runtime import tokens
from palestra.identity.v1.profile_service_pb2 import GetProfileRequest
from palestra.identity.v1.profile_service_pb2_grpc import ProfileServiceStub
from tests.support.bad_tokens import BAD_TOKENS, BadToken
from tests.support.grpc_errors import reason_of
from tests.support.mesh_stack import MeshStack
from tests.support.token_forge import signed
from tests.system.mesh.test_edge_pages import PASSED, UPGRADE
from tests.system.mesh.test_edge_rest import reason

PATH = "/v1/users/me"
MISSING = "TOKEN_MISSING"


class Passed:
    """What the edge passed on to services, or to its own processes."""

    def __init__(self, mesh: MeshStack) -> None:
        transport = httpx.HTTPTransport(uds=str(mesh.run / "edge.admin.sock"))
        self.admin = httpx.Client(transport=transport, base_url="http://edge")

    def requests(self) -> int:
        """How many requests of people, until now."""
        told = self.admin.get("/stats?filter=^cluster\\.(edge-to-|app-).*upstream_rq_total$").text
        return sum(int(line.rpartition(" ")[2]) for line in told.splitlines())


@pytest.fixture
def passed(mesh: MeshStack) -> Iterator[Passed]:
    made = Passed(mesh)
    yield made
    made.admin.close()


def refusals(found: dict[str, str]) -> dict[str, str]:
    """What of the table was not refused as it must be."""
    return {
        each.name: found[each.name] for each in BAD_TOKENS if found[each.name] not in each.reasons
    }


def test_over_rest_the_edge_refuses_each(
    mesh: MeshStack, rest: httpx.Client, passed: Passed
) -> None:
    def ask(token: str) -> str:
        answer = rest.get(PATH, headers={"authorization": f"Bearer {token}"})
        if answer.status_code == httpx.codes.OK:
            return "OK"
        status, code, why = reason(answer)
        assert (status, code) == (401, 16)
        return why

    # The way is open: what comes next would pass if it were good.
    before = passed.requests()
    assert ask(signed(mesh.signer())) == "OK"
    assert passed.requests() == before + 1
    assert refusals({each.name: ask(each.make(mesh.signer())) for each in BAD_TOKENS}) == {}
    assert passed.requests() == before + 1


async def test_over_grpc_the_edge_refuses_each(mesh: MeshStack, passed: Passed) -> None:
    async with grpc.aio.insecure_channel(mesh.target) as channel:
        stub = ProfileServiceStub(channel)

        async def ask(token: str) -> str:
            metadata = (("authorization", f"Bearer {token}"),)
            request = GetProfileRequest(name="users/me")
            try:
                await stub.GetProfile(request, metadata=metadata, timeout=10)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED
                return reason_of(error)
            return "OK"

        before = passed.requests()
        assert await ask(signed(mesh.signer())) == "OK"
        assert passed.requests() == before + 1
        found = {each.name: await ask(each.make(mesh.signer())) for each in BAD_TOKENS}
    assert refusals(found) == {}
    assert passed.requests() == before + 1


def _as_offer(each: BadToken) -> bool:
    """Whether it can be told apart among subprotocols: what has a comma is two of them."""
    return each.name not in ("a comma behind it", "another one behind it")


def test_at_a_websockets_handshake_the_edge_refuses_each(
    mesh: MeshStack, rest: httpx.Client, passed: Passed
) -> None:
    def ask(**told: str) -> tuple[int, int, str]:
        headers = {name.replace("_", "-"): value for name, value in told.items()}
        return reason(rest.get(TELEMETRY.path, headers=UPGRADE | headers))

    offer = "palestra.telemetry.v1.json, palestra.bearer."
    assert ask(sec_websocket_protocol=offer + signed(mesh.signer())) == PASSED
    before = passed.requests()
    offered, told = {}, {}
    for each in BAD_TOKENS:
        token = each.make(mesh.signer())
        _, _, told[each.name] = ask(authorization=f"Bearer {token}")
        offered[each.name] = told[each.name]
        if _as_offer(each):
            _, _, offered[each.name] = ask(sec_websocket_protocol=offer + token)
    assert refusals(told) == {}
    assert refusals(offered) == {}
    assert passed.requests() == before


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["authorization: Bearer {good}", "authorization: Bearer {bad}"], "TOKEN_INVALID"),
        (["authorization: Bearer {bad}", "authorization: Bearer {good}"], "TOKEN_INVALID"),
        (["authorization: Bearer {good}", "authorization: Bearer {good}"], "TOKEN_INVALID"),
        (["authorization: Basic eDp5", "authorization: Bearer {good}"], "TOKEN_INVALID"),
        (["authorization: Token Bearer {good}"], "TOKEN_INVALID"),
        (["authorization: bearer {good}"], MISSING),
        (["authorization: {good}"], MISSING),
        (["authorization: Basic {good}"], MISSING),
        (["cookie: access_token={good}"], MISSING),
        (["x-authorization: Bearer {good}"], MISSING),
        (["sec-websocket-protocol: palestra.bearer.{good}"], MISSING),
    ],
)
def test_a_token_brought_in_another_way_or_twice_is_refused(
    mesh: MeshStack, passed: Passed, lines: list[str], why: str
) -> None:
    good, bad = signed(mesh.signer()), signed(mesh.signer())[:-3]
    told = "".join(f"{line}\r\n".format(good=good, bad=bad) for line in lines)
    before = passed.requests()
    with socket.create_connection(("127.0.0.1", mesh.port), timeout=10) as connection:
        request = f"GET {PATH} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n{told}\r\n"
        connection.sendall(request.encode())
        with connection.makefile("rb") as answer:
            status, _, body = answer.read().partition(b"\r\n\r\n")
    assert status.split()[1] == b"401"
    assert f'"reason":"{why}"'.encode() in body
    assert passed.requests() == before


def test_edge_and_services_have_one_word_for_what_a_token_is() -> None:
    key_id = str(uuid.uuid4())
    assert strict_tokens.header_part(key_id) == tokens.header_part(key_id)
    edge = (filters.ISSUER, filters.AUDIENCE, strict_tokens.TYPE, strict_tokens.ALGORITHM)
    assert edge == (tokens.ISSUER, tokens.AUDIENCE, tokens.TYPE, tokens.ALGORITHM)
    bounds = (strict_tokens.LONGEST_TOKEN, strict_tokens.LONGEST_LIFE_S, strict_tokens.LEEWAY_S)
    assert bounds == (tokens.LONGEST_TOKEN, tokens.LONGEST_LIFE_S, tokens.LEEWAY_S)


def test_a_token_that_is_known_is_looked_at_anew_when_its_time_is_over(
    mesh: MeshStack, rest: httpx.Client
) -> None:
    held = {"authorization": f"Bearer {mesh.token()}"}
    for _ in range(3):
        assert rest.get(PATH, headers=held).status_code == httpx.codes.OK
    # A key that is gone takes the tokens with it that were known to be strict.
    mesh.keys["k9"], honest = mesh.keys["k1"], mesh.keys.pop("k1")
    mesh.settle("edge", mesh.write_keys)
    try:
        assert reason(rest.get(PATH, headers=held)) == (401, 16, "TOKEN_INVALID")
    finally:
        mesh.keys.pop("k9")
        mesh.keys["k1"] = honest
        mesh.settle("edge", mesh.write_keys)
    assert rest.get(PATH, headers=held).status_code == httpx.codes.OK

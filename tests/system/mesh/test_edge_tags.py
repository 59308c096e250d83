"""ETag, 304 and Cache-Control at the edge, over both versions of HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import httpx
import pytest

from tests.support import rest_errors
from tests.support.mesh_stack import MeshStack
from tests.support.mesh_stand_in import DOWNLOAD_BYTES

ACTIVITY = "/v1/users/me/activities/a1"
STREAMS = f"{ACTIVITY}/streams"


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def either(mesh: MeshStack, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A signed-in user, by each version of HTTP."""
    two = bool(request.param)
    headers = {"authorization": f"Bearer {mesh.token()}"}
    with httpx.Client(
        base_url=mesh.url, headers=headers, timeout=10, http1=not two, http2=two
    ) as client:
        yield client


@pytest.mark.parametrize("path", [ACTIVITY, STREAMS])
def test_an_answer_has_a_tag_and_is_not_sent_twice(either: httpx.Client, path: str) -> None:
    first = either.get(path)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Origin, Accept-Encoding, Authorization"
    for _ in range(2):
        again = either.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("cache-control", "vary"):
            assert again.headers[name] == first.headers[name]
        # Weak, where the answer was compressed.
        assert again.headers["etag"] == first.headers["etag"].removeprefix("W/")
        assert {"content-type", "transfer-encoding"}.isdisjoint(again.headers)
    other = either.get(path, headers={"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


def test_nothing_of_how_it_is_told_leaks(either: httpx.Client) -> None:
    for headers in ({}, {"if-none-match": "*"}):
        answer = either.get(ACTIVITY, headers=headers)
        leaked = [name for name in answer.headers if name.startswith(("x-palestra", "grpc-"))]
        assert not leaked


def test_a_connection_goes_on_after_a_304(mesh: MeshStack) -> None:
    headers = {"authorization": f"Bearer {mesh.token()}"}
    connection = http.client.HTTPConnection("127.0.0.1", mesh.port, timeout=10)
    try:
        for condition, status in ({"if-none-match": "*"}, 304), ({}, 200):
            connection.request("GET", ACTIVITY, headers={**headers, **condition})
            answer = connection.getresponse()
            body = answer.read()
            assert (answer.status, bool(body)) == (status, status == 200)
        assert connection.sock is not None
    finally:
        connection.close()


def test_a_download_beyond_the_body_limit_keeps_its_tag(either: httpx.Client) -> None:
    answer = either.get(STREAMS)
    assert len(answer.content) > DOWNLOAD_BYTES
    assert answer.headers["etag"]


def test_what_the_contract_does_not_let_be_kept_is_kept_nowhere(
    user: httpx.Client, rest: httpx.Client
) -> None:
    told = rest.post("/v1/auth:register", json={"email": "a@b.example", "displayName": "A"})
    refused = user.get("/v1/users/missing")
    unsigned = rest.get("/v1/users/me")
    statuses = {told.status_code, refused.status_code, unsigned.status_code}
    assert statuses == {200, 404, 401}
    for answer in (told, refused, unsigned):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "etag" not in answer.headers


def test_a_stream_is_kept_nowhere(user: httpx.Client) -> None:
    with user.stream("GET", f"{ACTIVITY}:watch") as answer:
        assert answer.headers["cache-control"] == "no-store"


def test_another_address_has_another_tag(user: httpx.Client) -> None:
    one, two = (user.get(f"/v1/users/me/activities/{name}") for name in ("a1", "a2"))
    assert one.headers["etag"] != two.headers["etag"]
    again = user.get(ACTIVITY, headers={"if-none-match": two.headers["etag"]})
    assert again.status_code == 200


def test_a_worker_that_does_not_render_what_it_should_is_refused_and_ends_nothing(
    mesh: MeshStack,
) -> None:
    edge = mesh.processes["edge"]
    with httpx.Client(base_url=mesh.url, timeout=10) as client:
        client.headers["authorization"] = f"Bearer {mesh.token()}"
        # It answers with the message itself, as before the edge expected an envelope.
        refused = client.get("/v1/users/me/activities/plain")
        assert rest_errors.refusal(refused) == (503, "UNAVAILABLE", "UNAVAILABLE")
        assert client.get(ACTIVITY).status_code == 200
    assert mesh.processes["edge"] is edge
    assert edge.poll() is None

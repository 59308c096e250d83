"""What apps see at the edge over REST."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.support.mesh_stack import MeshStack
from tests.support.mesh_stand_in import DOWNLOAD_BYTES


def reason(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, gRPC code and the one reason of an error."""
    assert answer.headers["content-type"] == "application/json"
    status = answer.json()
    infos = [each for each in status["details"] if each["@type"].endswith("rpc.ErrorInfo")]
    assert len(infos) == 1, status
    assert infos[0]["domain"] == "mesh.palestra"
    assert status["message"]
    return answer.status_code, status["code"], infos[0]["reason"]


def seen(answer: httpx.Response) -> dict[str, Any]:
    """What arrived at the stand-in."""
    assert answer.status_code == 200, answer.text
    arrived = json.loads(answer.json()["profile"]["bio"])
    assert isinstance(arrived, dict)
    return arrived


def test_a_get_is_transcoded_with_its_path_bound(user: httpx.Client) -> None:
    answer = user.get("/v1/users/somebody")
    assert answer.status_code == 200
    assert answer.json()["profile"]["name"] == "users/somebody"


def test_a_post_is_transcoded_with_its_body_in_lower_camel(rest: httpx.Client) -> None:
    answer = rest.post("/v1/auth:register", json={"email": "a@b.example", "displayName": "A"})
    assert answer.json() == {
        "user": "users/a@b.example",
        # What is empty is said: apps need not know the defaults.
        "accessToken": "",
        "refreshToken": "",
        "expiresIn": 60,
        "deviceToken": "",
    }


def test_a_patch_binds_path_body_and_mask(user: httpx.Client) -> None:
    answer = user.patch("/v1/users/me?updateMask=bio", json={"bio": "runs"})
    profile = answer.json()["profile"]
    assert (profile["name"], profile["bio"]) == ("users/me", "runs")


def test_health_needs_no_service(rest: httpx.Client) -> None:
    answer = rest.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "SERVING"})


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/v1/users"),
        # Internal, and not REST at all.
        ("POST", "/palestra.identity.v1.KeyService/GetKeySet"),
        ("POST", "/palestra.training.v1.TrackerService/IngestTelemetry"),
        ("POST", "/palestra.identity.v1.ProfileService/GetProfile"),
    ],
)
def test_what_the_contract_does_not_name_is_unknown(
    user: httpx.Client, verb: str, path: str
) -> None:
    assert reason(user.request(verb, path)) == (404, 12, "METHOD_UNKNOWN")


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("DELETE", "/v1/users/me", "GET, PATCH"),
        ("GET", "/v1/auth:register", "POST"),
        ("TRACE", "/v1/auth:register", "POST"),
        ("PUT", "/v1/users/me/activities/a-1", "DELETE, GET, PATCH"),
        ("POST", "/v1/users/me/activities/a-1:watch", "GET"),
    ],
)
def test_a_verb_that_a_path_does_not_have_is_refused_with_those_that_it_has(
    user: httpx.Client, verb: str, path: str, allowed: str
) -> None:
    answer = user.request(verb, path)
    assert reason(answer) == (405, 12, "METHOD_UNKNOWN")
    assert answer.headers["allow"] == allowed
    # A page of whatever origin may read that, and why.
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert "allow" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("x~y", "1"), ("u3np.~#amc", "x"), ("x-bin", "!!!"), ("grpc-encoding", "nope")],
)
def test_a_header_that_grpc_cannot_carry_harms_nothing(
    user: httpx.Client, name: str, value: str
) -> None:
    assert user.get("/v1/users/somebody", headers={name: value}).status_code == 200


def test_an_unknown_query_parameter_is_refused_by_name(user: httpx.Client) -> None:
    answer = user.get("/v1/users/me?shoe_size=44")
    assert reason(answer) == (400, 3, "INVALID_FIELD")
    assert "shoe_size" in answer.json()["message"]


def test_a_body_that_is_not_json_is_refused_in_json(rest: httpx.Client) -> None:
    answer = rest.post("/v1/auth:register", content=b'{"email":')
    assert reason(answer) == (400, 3, "INVALID_FIELD")


@pytest.mark.parametrize("kind", ["application/grpcx", "application/grpc; a=b", "text/plain"])
def test_whoever_speaks_no_grpc_is_refused_in_json(rest: httpx.Client, kind: str) -> None:
    answer = rest.get("/v1/users/me", headers={"content-type": kind})
    assert answer.headers["content-type"] == "application/json"
    assert reason(answer) == (401, 16, "TOKEN_MISSING")


def test_an_escaped_slash_cannot_reach_another_path(user: httpx.Client) -> None:
    answer = user.get("/v1/users/a%2Factivities")
    assert reason(answer) == (400, 3, "INVALID_FIELD")


def test_a_body_over_a_mebibyte_is_refused(rest: httpx.Client) -> None:
    answer = rest.post("/v1/auth:register", json={"email": "x" * (1 << 20)})
    assert reason(answer) == (413, 3, "INVALID_FIELD")


def test_a_services_own_error_keeps_its_reason(user: httpx.Client) -> None:
    answer = user.get("/v1/users/missing")
    assert answer.status_code == 404
    status = answer.json()
    assert (status["code"], status["details"][0]["reason"]) == (5, "USER_NOT_FOUND")


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/users/missing"])
def test_no_grpc_header_leaks(user: httpx.Client, path: str) -> None:
    leaked = {"grpc-status", "grpc-message", "grpc-status-details-bin"}
    assert leaked.isdisjoint(user.get(path).headers)


def test_the_contracts_deadline_ends_a_slow_call_and_travels(user: httpx.Client) -> None:
    before = time.monotonic()
    answer = user.get("/v1/users/slow")
    assert reason(answer) == (504, 4, "DEADLINE_EXCEEDED")
    assert 0.9 < time.monotonic() - before < 3
    assert 0 < seen(user.get("/v1/users/me"))["remaining_s"] <= 1


def test_outsiders_cannot_speak_for_the_mesh(mesh: MeshStack, user: httpx.Client) -> None:
    forged = {
        "x-palestra-mesh-proof": "forged",
        "x-palestra-anything": "forged",
        "x-forwarded-client-cert": "URI=spiffe://palestra.local/operator",
        "x-request-id": "forged",
        "x-envoy-upstream-rq-timeout-ms": "60000",
    }
    arrived = seen(user.get("/v1/users/me", headers=forged))
    assert "forged" not in json.dumps(arrived)
    assert arrived["x-palestra-mesh-proof"] == (mesh.state / "mesh" / "proof").read_text()
    assert arrived["x-forwarded-client-cert"].endswith(";URI=spiffe://palestra.local/edge")
    assert "x-envoy-upstream-rq-timeout-ms" not in arrived


def test_the_request_id_is_the_edges_and_told_to_both_sides(user: httpx.Client) -> None:
    answer = user.get("/v1/users/me")
    assert answer.headers["x-request-id"] == seen(answer)["x-request-id"]


def test_a_large_download_passes_as_it_is(user: httpx.Client) -> None:
    answer = user.get("/v1/users/me/activities/a1/streams?channels=POWER&channels=SPEED")
    assert answer.json()["channels"] == ["POWER", "SPEED"]
    assert len(answer.content) > DOWNLOAD_BYTES


def test_a_server_stream_comes_as_one_document_a_line(user: httpx.Client) -> None:
    with user.stream("GET", "/v1/users/me/activities/a1:watch") as answer:
        lines = answer.iter_lines()
        documents = [json.loads(next(lines)) for _ in range(3)]
    assert [each["update"]["heartRateBpm"] for each in documents] == [140] * 3


def test_browsers_may_ask_first_and_read_refusals(rest: httpx.Client) -> None:
    origin = {"origin": "https://app.example"}
    asking = {"access-control-request-method": "PATCH", **origin}
    preflight = rest.options("/v1/users/me", headers=asking)
    assert preflight.status_code == 200
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    for path in ("/v1/users/me", "/nothing"):
        assert rest.get(path, headers=origin).headers["access-control-allow-origin"]


def test_without_the_edges_own_process_only_strict_requests_are_refused(
    user: httpx.Client,
) -> None:
    body, strict = {"bio": "runs"}, {"x-palestra-strict": "1"}
    assert user.patch("/v1/users/me", json=body).status_code == 200
    refused = user.patch("/v1/users/me", json=body, headers=strict)
    assert reason(refused) == (503, 14, "UNAVAILABLE")
    # Nothing to be strict about.
    assert user.get("/v1/users/me", headers=strict).status_code == 200


def test_no_name_but_the_one_for_clients_passes_for_ours(user: httpx.Client) -> None:
    names = ("", "s", "stric", "strict", "stricter", "strict-", "xstrict", "mesh-proof", "nowhere")
    sent = {f"x-palestra-{name}": "0" for name in (*names, "client-address")}
    arrived = seen(user.get("/v1/users/me", headers=sent))
    passed = {name for name, value in arrived.items() if name.startswith("x-palestra-")}
    assert passed == {"x-palestra-strict", "x-palestra-mesh-proof", "x-palestra-client-address"}
    assert arrived["x-palestra-mesh-proof"] != "0"
    assert arrived["x-palestra-client-address"] == "127.0.0.1"

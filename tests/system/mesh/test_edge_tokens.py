"""Who gets past the edge."""

from __future__ import annotations

import time

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.mesh_stack import MeshStack
from tests.system.mesh.test_edge_rest import reason, seen


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_without_a_token_a_person_is_asked_to_sign_in(rest: httpx.Client) -> None:
    assert reason(rest.get("/v1/users/me")) == (401, 16, "TOKEN_MISSING")


def test_a_token_in_the_query_is_no_token(mesh: MeshStack, rest: httpx.Client) -> None:
    answer = rest.get(f"/v1/users/me?access_token={mesh.token()}")
    assert reason(answer) == (401, 16, "TOKEN_MISSING")


def test_an_expired_token_is_told_from_a_false_one(mesh: MeshStack, rest: httpx.Client) -> None:
    expired = mesh.token(exp=int(time.time()) - 5)
    answer = rest.get("/v1/users/me", headers=bearer(expired))
    assert reason(answer) == (401, 16, "TOKEN_EXPIRED")


@pytest.mark.parametrize(
    "changed", [{"iss": "https://elsewhere.example"}, {"aud": "elsewhere"}, {"exp": None}]
)
def test_a_token_for_something_else_is_refused(
    mesh: MeshStack, rest: httpx.Client, changed: dict[str, object]
) -> None:
    answer = rest.get("/v1/users/me", headers=bearer(mesh.token("k1", **changed)))
    status, _, why = reason(answer)
    assert status in {401, 403}
    assert why == "TOKEN_INVALID"


def test_a_token_of_another_key_under_our_id_is_refused(
    mesh: MeshStack, rest: httpx.Client
) -> None:
    honest = mesh.keys["k1"]
    mesh.keys["k1"] = Ed25519PrivateKey.generate()
    try:
        forged = mesh.token()
    finally:
        mesh.keys["k1"] = honest
    assert reason(rest.get("/v1/users/me", headers=bearer(forged))) == (401, 16, "TOKEN_INVALID")


def test_rubbish_for_a_token_is_refused(rest: httpx.Client) -> None:
    answer = rest.get("/v1/users/me", headers=bearer("not.a.token"))
    assert reason(answer) == (401, 16, "TOKEN_INVALID")


def test_an_open_method_asks_for_none_and_minds_none(rest: httpx.Client) -> None:
    answer = rest.post(
        "/v1/auth:register", json={"email": "a@b.example"}, headers=bearer("not.a.token")
    )
    assert answer.status_code == 200


def test_the_token_goes_on_to_the_service(mesh: MeshStack, rest: httpx.Client) -> None:
    token = mesh.token()
    arrived = seen(rest.get("/v1/users/me", headers=bearer(token)))
    assert arrived["authorization"] == f"Bearer {token}"

"""The answer to the edge's question about unknown fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.web.app import build
from gateway.web.host import Host
from gateway.web.settings import WebSettings
from tests.unit.web.asked import Answer, ask

PROOF = "a-proof-of-the-edge"


async def asked(tmp_path: Path, body: bytes, proof: str = PROOF) -> Answer:
    kept = tmp_path / "proof"
    kept.write_text(PROOF)
    host = Host(WebSettings(listen="unix:/x", mesh="unix:/x", mesh_proof_file=kept))
    headers = [("x-palestra-mesh-proof", proof)]
    return await ask(build(host), "/strict/v1/users/me", headers, "PATCH", body)


async def test_a_body_that_is_known_may_pass(tmp_path: Path) -> None:
    answer = await asked(tmp_path, b'{"bio": "runs"}')
    assert (answer.status, answer.body) == (200, b"")


async def test_an_unknown_field_is_refused_with_its_path(tmp_path: Path) -> None:
    answer = await asked(tmp_path, b'{"nickName": "V", "age": 3}')
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD")
    assert answer.json["message"] == "profile.nickName: unknown field; profile.age: unknown field"
    (bad,) = [each for each in answer.json["details"] if each["@type"].endswith("BadRequest")]
    assert bad["fieldViolations"] == [
        {"field": "profile.nickName", "description": "unknown field"},
        {"field": "profile.age", "description": "unknown field"},
    ]


@pytest.mark.parametrize("name", ["x" * 5000, "é" * 5000, "\u0000", "<script>"])
async def test_a_name_of_any_kind_makes_a_refusal_of_bounded_length(
    tmp_path: Path, name: str
) -> None:
    import json

    answer = await asked(tmp_path, json.dumps({name: 1}).encode())
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD")
    assert len(answer.body) < 3000


async def test_only_the_edge_is_answered(tmp_path: Path) -> None:
    assert (await asked(tmp_path, b"{}", "guessed")).reason == "OUTSIDE_MESH"

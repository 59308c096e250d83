import base64
import json
from pathlib import Path

import pytest

from mesh.control.keys import KeySet, KeySetError, key_set_of, nobody, save, saved
from palestra.identity.v1 import key_service_pb2

KEY = bytes(range(32))


def answer(*keys: tuple[str, bytes]) -> key_service_pb2.GetKeySetResponse:
    return key_service_pb2.GetKeySetResponse(
        keys=[key_service_pb2.VerificationKey(key_id=kid, public_key=key) for kid, key in keys]
    )


def test_a_key_set_is_said_as_jwks() -> None:
    (key,) = json.loads(key_set_of(answer(("k1", KEY))).jwks())["keys"]
    assert (key["kid"], key["kty"], key["crv"]) == ("k1", "OKP", "Ed25519")
    assert base64.urlsafe_b64decode(key["x"] + "=") == KEY


@pytest.mark.parametrize(
    "keys",
    [
        (),
        (("", KEY),),
        (("k1", b"short"),),
        (("k1", KEY), ("k1", KEY)),
        tuple((f"k{number}", KEY) for number in range(33)),
    ],
)
def test_what_the_edge_would_not_take_is_refused(keys: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(KeySetError):
        key_set_of(answer(*keys))


def test_the_last_set_is_kept_for_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert saved(path) is None
    keys = KeySet((("k2", KEY), ("k1", KEY)))
    save(path, keys)
    assert saved(path) == keys


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"k1": "zz"}', '{"k1": "00"}', '{"k1": 5}'])
def test_a_damaged_set_is_no_set(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    assert saved(path) is None


def test_before_there_are_keys_there_is_one_that_nobody_has() -> None:
    assert nobody().jwks() != nobody().jwks()

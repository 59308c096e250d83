"""What is sealed opens where it was sealed, by keys that are known, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mesh.local.credentials import ensure
from mesh.local.places import prepare
from mesh.runtime.sealing import SealBroken, Sealer, make_key
from mesh.runtime.settings import SettingsError

PLACE = "totp/u1"


def test_what_is_sealed_opens_at_its_place_and_hides_what_it_is() -> None:
    sealer = Sealer((make_key(),))
    sealed = sealer.seal(b"secret", PLACE)
    assert b"secret" not in sealed
    assert sealer.open(sealed, PLACE) == b"secret"
    assert sealer.seal(b"secret", PLACE) != sealed


def test_it_opens_nowhere_else() -> None:
    sealer = Sealer((make_key(),))
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"secret", PLACE), "totp/u2")


def test_every_changed_byte_is_noticed() -> None:
    sealer = Sealer((make_key(),))
    sealed = sealer.seal(b"secret", PLACE)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SealBroken):
            sealer.open(bytes(changed), PLACE)


@pytest.mark.parametrize("length", [0, 1, 5, 16, 17, 32])
def test_what_is_cut_short_is_broken(length: int) -> None:
    sealer = Sealer((make_key(),))
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"secret", PLACE)[:length], PLACE)


def test_an_older_key_opens_what_it_sealed_and_seals_no_more() -> None:
    older, newer = make_key(), make_key()
    sealed = Sealer((older,)).seal(b"secret", PLACE)
    turned = Sealer((newer, older))
    assert turned.open(sealed, PLACE) == b"secret"
    assert turned.is_stale(sealed)
    assert not turned.is_stale(turned.seal(b"secret", PLACE))
    with pytest.raises(SealBroken):
        Sealer((newer,)).open(sealed, PLACE)


def test_a_sealer_without_keys_or_with_twins_is_refused() -> None:
    key = make_key()
    with pytest.raises(ValueError, match="keys"):
        Sealer(())
    with pytest.raises(ValueError, match="keys"):
        Sealer((key, key))


def test_a_stack_makes_a_key_for_each_service_and_keeps_it(tmp_path: Path) -> None:
    places = prepare(tmp_path / "s")
    ensure(places, ("identity", "training"))
    identity, training = (Sealer.read(places.seal_keys(name)) for name in ("identity", "training"))
    sealed = identity.seal(b"secret", PLACE)
    with pytest.raises(SealBroken):
        training.open(sealed, PLACE)
    ensure(places, ("identity", "training"))
    assert Sealer.read(places.seal_keys("identity")).open(sealed, PLACE) == b"secret"
    assert places.seal_keys("identity").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    "content", ["", "{}", '{"keys": []}', '{"keys": [{"id": "zz", "secret": "AA=="}]}', "[]"]
)
def test_a_file_that_holds_no_keys_is_named_without_its_content(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"no seal keys in .*keys\.json"):
        Sealer.read(path)


def test_a_key_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{"id": "00112233", "secret": "AAAA"}]}))
    with pytest.raises(SettingsError):
        Sealer.read(path)

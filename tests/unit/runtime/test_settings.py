"""Settings: read from the environment, refused by the variable's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.runtime import settings
from mesh.runtime.settings import Settings, SettingsError

NEEDED = {
    "PALESTRA_SERVICE": "identity",
    "PALESTRA_LISTEN": "unix:/x",
    "PALESTRA_MESH": "unix:/y",
    "PALESTRA_MESH_PROOF_FILE": "/proof",
    "PALESTRA_DATABASE_URL": "postgresql://identity:secret@/palestra",
    "PALESTRA_REDIS_URL": "unix://identity:secret@/redis.sock",
}


@dataclass(frozen=True)
class Own:
    on: bool = False
    size: int = 3


def test_what_is_told_is_read_and_the_rest_has_its_default() -> None:
    told = settings.read(Settings, environ=NEEDED | {"PALESTRA_WORKER": "2"})
    assert told.service == "identity"
    assert told.worker == 2
    assert told.mesh_proof_file == Path("/proof")
    assert told.region == 0


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_setting_is_named(name: str) -> None:
    told = {key: value for key, value in NEEDED.items() if key != name}
    with pytest.raises(SettingsError, match=f"^{name} is not set$"):
        settings.read(Settings, environ=told)


def test_a_setting_of_another_type_is_named_with_its_value() -> None:
    with pytest.raises(SettingsError, match="PALESTRA_WORKER is 'two'"):
        settings.read(Settings, environ=NEEDED | {"PALESTRA_WORKER": "two"})


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(settings.read(Settings, environ=NEEDED))


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("", False)]
)
def test_yes_and_no(text: str, value: bool) -> None:
    assert settings.read(Own, "X_", {"X_ON": text}).on is value


def test_neither_yes_nor_no_is_refused() -> None:
    with pytest.raises(SettingsError, match="X_ON is 'maybe', not yes or no"):
        settings.read(Own, "X_", {"X_ON": "maybe"})


def test_a_services_own_settings_are_read_and_a_mistyped_one_is_refused() -> None:
    told = settings.read_own(Own, "small", {"PALESTRA_SMALL_SIZE": "5", "PALESTRA_OTHER_SIZE": "x"})
    assert (told.size, told.on) == (5, False)
    with pytest.raises(SettingsError, match=r"^PALESTRA_SMALL_SISE is no setting of small$"):
        settings.read_own(Own, "small", {"PALESTRA_SMALL_SISE": "5"})

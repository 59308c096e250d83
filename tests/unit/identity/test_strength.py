"""Passwords that guessers try are refused, also those typed in Russian, and those of breaches."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.identity.auth.passwords import NOBODYS, Passwords
from services.identity.auth.rules import PasswordWeak, regions_of
from services.identity.auth.strength import Strength


@pytest.mark.parametrize(
    "password",
    [
        "password123",
        "Password123!",
        "P@ssw0rd2024",
        "qwertyuiop12",
        "iloveyou!!!!",
        "passwordpassword",
        "парольпароль",
        "йцукенгшщзхъ",
        "vera-verasson",
        "1234567890123",
        "ＰＡＳＳＷＯＲＤ１２３",
    ],
)
def test_what_guessers_try_is_refused(password: str) -> None:
    with pytest.raises(PasswordWeak):
        Strength().check(password, ["vera", "verasson"])


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "a long enough secret", "бегаю по утрам в дождь", "xK9#mQ2$vL7p"],
)
def test_what_they_do_not_is_taken(password: str) -> None:
    Strength().check(password, ["vera"])


@pytest.mark.parametrize("count", [1, 2, 3, 1000])
@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_breached_passwords_are_found_in_a_sorted_file(
    tmp_path: Path, count: int, ending: str
) -> None:
    breached = [f"breached horse battery {number}" for number in range(count)]
    hashes = sorted(hashlib.sha1(each.encode()).hexdigest().upper() for each in breached)
    path = tmp_path / "pwned.txt"
    path.write_bytes("".join(f"{each}:{7}{ending}" for each in hashes).encode())
    judge = Strength(path)
    for password in breached:
        with pytest.raises(PasswordWeak):
            judge.check(password, [])
    for number in range(50):
        judge.check(f"another horse battery {number}", [])


def test_where_there_is_no_account_the_hash_costs_the_same() -> None:
    hasher = Passwords()._hasher
    assert not hasher.check_needs_rehash(NOBODYS)


def test_regions_are_read_or_refused() -> None:
    assert regions_of("RU=1, BY=1,*=0") == {"RU": 1, "BY": 1, "*": 0}
    for wrong in ("RU", "ru=1", "RUS=1", "RU=256", "RU=-1", "=1"):
        with pytest.raises(ValueError, match="is not COUNTRY=REGION"):
            regions_of(wrong)

"""The rules of accounts: passwords as far as they can be judged by looking, regions, repeats.

Decides; never hashes a password (that is slow and belongs in a pool), never
reads a clock.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from services.identity.addresses.rules import EmailInvalid as EmailInvalid  # noqa: PLC0414

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD_BYTES = 1024
"""256 characters of the longest kind."""
FEWEST_DISTINCT = 5
FRESH_SIGN_IN = timedelta(minutes=5)
"""So long after a sign-in the password is changed without the former one."""


class EmailTaken(Exception):
    """There is an account with this address, and the password is not its."""

    reason: ClassVar[str] = "EMAIL_TAKEN"
    field = "email"


class PhoneTaken(Exception):
    """There is an account with this number, and the password is not its."""

    reason: ClassVar[str] = "PHONE_TAKEN"
    field = "phone"


class PasswordWeak(Exception):
    """The password is too easy to guess."""

    reason: ClassVar[str] = "PASSWORD_WEAK"

    def __init__(self, why: str, field: str = "password") -> None:
        super().__init__(why)
        self.field = field


class PasswordWrong(Exception):
    """Not the password until now, by whoever is signed in."""

    reason: ClassVar[str] = "PASSWORD_WRONG"
    field = "current_password"


class CredentialsWrong(Exception):
    """No account with this address and password; which of the two is not said."""

    reason: ClassVar[str] = "CREDENTIALS_WRONG"


class HomeRegionElsewhere(Exception):
    """People of the country have their home in another region; says in which."""

    reason: ClassVar[str] = "HOME_REGION_ELSEWHERE"

    def __init__(self, region: int) -> None:
        super().__init__(f"people of this country sign up in region {region}")
        self.metadata = {"region": str(region)}


def normalized(password: str) -> str:
    """A password as it is judged and hashed: however a keyboard writes its letters (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, address: str, display_name: str) -> None:
    """Refuses what can be refused by looking.

    Raises:
        PasswordWeak: says what is wrong with it.
    """
    plain = normalized(password).casefold()
    if len(plain) < SHORTEST_PASSWORD:
        raise PasswordWeak(f"at least {SHORTEST_PASSWORD} characters are needed")
    if len(plain.encode()) > LONGEST_PASSWORD_BYTES:
        raise PasswordWeak(f"at most {LONGEST_PASSWORD_BYTES} bytes are possible")
    if len(set(plain)) < FEWEST_DISTINCT:
        raise PasswordWeak("too few different characters")
    for known in (address.split("@", maxsplit=1)[0].casefold(), display_name.casefold()):
        if len(known) >= FEWEST_DISTINCT and known in plain:
            raise PasswordWeak("it holds your name or address")


def check_region(country: str, regions: Mapping[str, int], here: int) -> None:
    """Whether people of a country may sign up here; `regions` by country, `*` for all others.

    Raises:
        HomeRegionElsewhere
    """
    home = regions.get(country, regions.get("*", here)) if country else here
    if home != here:
        raise HomeRegionElsewhere(home)


def regions_of(text: str) -> dict[str, int]:
    """`RU=1,BY=1,*=0` as a table.

    Raises:
        ValueError: it cannot be read.
    """
    found: dict[str, int] = {}
    for each in filter(None, text.replace(" ", "").split(",")):
        country, _, region = each.partition("=")
        is_country = len(country) == 2 and country.isascii() and country.isupper()
        if not (is_country or country == "*") or not region.isdecimal() or int(region) > 255:
            raise ValueError(f"{each!r} is not COUNTRY=REGION, such as RU=1 or *=0")
        found[country] = int(region)
    return found

"""The rules of addresses: who holds one, what it takes to let one go.

An address is *claimed* where somebody signed up with it and has not proved that he reads
what comes there; *verified* where he has; *pending* where somebody wishes to add it. A
claimed or verified one belongs to one account. A claim gives way to a proof.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

MOST_ADDRESSES = 5
EMAIL, PHONE = "email", "phone"


class EmailInvalid(Exception):
    """Not an e-mail address."""

    reason: ClassVar[str] = "EMAIL_INVALID"
    field = "email"


class PhoneInvalid(Exception):
    """Not a phone number."""

    reason: ClassVar[str] = "PHONE_INVALID"
    field = "phone"


class AddressNotFound(Exception):
    """The person has no such address."""

    reason: ClassVar[str] = "ADDRESS_NOT_FOUND"


class AddressTaken(Exception):
    """Another account has proved that the address is its own."""

    reason: ClassVar[str] = "ADDRESS_TAKEN"


class AddressNeeded(Exception):
    """The account would be left with no address by which it can be recovered."""

    reason: ClassVar[str] = "ADDRESS_NEEDED"


class AddressNotVerified(Exception):
    """Nobody has proved yet that the address is the person's own."""

    reason: ClassVar[str] = "ADDRESS_NOT_VERIFIED"


class TooManyAddresses(Exception):
    """The person has as many addresses as anybody can have."""

    reason: ClassVar[str] = "TOO_MANY_ADDRESSES"


class State(StrEnum):
    """What is known of an address."""

    CLAIMED = "claimed"
    VERIFIED = "verified"
    PENDING = "pending"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Contact:
    """An address as it was told."""

    channel: str
    """`email` or `phone`."""
    address: str = field(repr=False)
    """As it is written to: `Vera@example.com`, `+79123456789`."""
    key: str = field(repr=False)
    """As it is compared."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a person."""

    user_id: uuid.UUID
    address_id: uuid.UUID
    channel: str
    address: str = field(repr=False)
    state: State
    is_primary: bool
    verified_at: datetime | None
    created_at: datetime


def one_of(addresses: Sequence[Address], address_id: uuid.UUID) -> Address:
    """One of a person's addresses.

    Raises:
        AddressNotFound
    """
    for each in addresses:
        if each.address_id == address_id:
            return each
    raise AddressNotFound


def check_removal(addresses: Sequence[Address], going: Address) -> None:
    """Whether one of a person's addresses may go.

    Raises:
        AddressNeeded: it is the primary one, or the last that is verified, or that signs in.
    """
    left = [each for each in addresses if each.address_id != going.address_id]
    if going.is_primary:
        raise AddressNeeded("make another address the primary one first")
    if going.state is State.VERIFIED and not any(each.state is State.VERIFIED for each in left):
        raise AddressNeeded("it is the last that is verified")


def check_primary(address: Address) -> None:
    """Whether an address may become the primary one.

    Raises:
        AddressNotVerified
    """
    if address.state is not State.VERIFIED and not address.is_primary:
        raise AddressNotVerified

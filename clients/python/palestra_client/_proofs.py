"""What a person is asked to prove, and how he answers.

Owns the shapes between a caller's own dialogue and the contract's messages. Knows no call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

import grpc

from palestra.identity.v1 import factor_pb2
from palestra_client._errors import Unauthenticated

TOTP, RECOVERY_CODE, PASSKEY, PASSWORD = "totp", "recovery_code", "passkey", "password"
_PREFIX = "FACTOR_KIND_"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is to be proved."""

    factors: tuple[str, ...]
    """By which of `totp`, `recovery_code`, `passkey`, `password`; the handiest first."""
    passkey_options: str = field(repr=False, default="")
    """For `PublicKeyCredential.parseRequestOptionsFromJSON`; empty without passkeys."""
    expire_time_s: float = 0.0
    """Until when, in s since 1970; 0 where it is not said."""
    step_up: bool = False
    """Whether somebody signed in confirms himself once more."""


@dataclass(frozen=True, slots=True, repr=False)
class Proof:
    """An answer to a challenge."""

    kind: str
    value: str

    @classmethod
    def totp(cls, code: str) -> Self:
        """The six digits of an authenticator app."""
        return cls(TOTP, code)

    @classmethod
    def recovery_code(cls, code: str) -> Self:
        """One of the ten, with hyphens or without."""
        return cls(RECOVERY_CODE, code)

    @classmethod
    def passkey(cls, credential: str) -> Self:
        """What the authenticator answered to the options: `toJSON()`, as text."""
        return cls(PASSKEY, credential)

    @classmethod
    def password(cls, password: str) -> Self:
        """The password: for a step-up of who has no second factor."""
        return cls(PASSWORD, password)

    def message(self) -> factor_pb2.SecondFactorProof:
        """As the contract has it.

        Raises:
            ValueError: a password is no second factor.
        """
        if self.kind == TOTP:
            return factor_pb2.SecondFactorProof(totp_code=self.value)
        if self.kind == RECOVERY_CODE:
            return factor_pb2.SecondFactorProof(recovery_code=self.value)
        if self.kind == PASSKEY:
            return factor_pb2.SecondFactorProof(passkey=self.value)
        raise ValueError(f"{self.kind} is no second factor")


Prove = Callable[[Challenge], Awaitable[Proof]]
"""A caller's dialogue: asks the person. What it raises, the call raises."""


class SecondFactorNeeded(Unauthenticated):
    """The password was right; a second factor is to be proved: see `Palestra.complete_login`."""

    def __init__(self, challenge: Challenge, ticket: str, address: str) -> None:
        super().__init__(
            f"Prove yourself by one of: {', '.join(challenge.factors)}.",
            code=grpc.StatusCode.UNAUTHENTICATED,
            reason="SECOND_FACTOR_NEEDED",
            domain="identity.palestra",
        )
        self.challenge = challenge
        self.ticket = ticket
        """Good for 5 tries, one of which may succeed."""
        self.address = address


def challenge_of(asked: factor_pb2.SecondFactorNeeded, *, step_up: bool = False) -> Challenge:
    """What the server asks, as a challenge; without factors it is the password."""
    factors = tuple(
        factor_pb2.FactorKind.Name(each).removeprefix(_PREFIX).lower() for each in asked.factors
    )
    return Challenge(
        factors or (PASSWORD,),
        asked.passkey_options,
        asked.expire_time.ToMicroseconds() / 1e6 if asked.HasField("expire_time") else 0.0,
        step_up,
    )

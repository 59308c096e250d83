"""The rules of second factors: codes by the clock (RFC 6238), codes on paper, their bounds.

Decides; never reads a clock, never makes randomness, knows nothing of passkeys' signatures.
HOTP is a dozen lines over the standard library's HMAC, held to the RFCs' own vectors.
"""

from __future__ import annotations

import base64
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, urlencode

ISSUER = "Palestra"
# What every authenticator app takes; some ignore whatever else the URI says.
DIGITS = 6
STEP_S = 30
WINDOW = 1
"""Steps before and after the present one whose codes are taken: clocks differ."""
TOTP_SECRET_BYTES = 20
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 bits each: nobody guesses one, whatever is counted."""
MOST_PASSKEYS = 10
LONGEST_PASSKEY_NAME = 60
ENROLMENT_LIFETIME = timedelta(minutes=10)
TICKET_LIFETIME = timedelta(minutes=5)
MOST_TRIES = 5
"""Of one ticket."""
FREE_FAILURES = 10
"""Of one person, one after the other; each further one doubles the wait."""
FIRST_WAIT_S = 60
LONGEST_WAIT_S = 3600
RESET_WAIT = timedelta(hours=24)
"""Between support's decision and its effect: time for the person to see the letter."""

BY_TOTP = frozenset({"otp", "mfa"})
BY_RECOVERY_CODE = frozenset({"otp", "mfa"})


class SecondFactorWrong(Exception):
    """Wrong, of another time, or used: which of them is not said."""

    reason: ClassVar[str] = "SECOND_FACTOR_WRONG"


class SignInTicketInvalid(Exception):
    """The ticket is over: too old, used, or tried too often."""

    reason: ClassVar[str] = "SIGN_IN_TICKET_INVALID"


class TotpExists(Exception):
    """An authenticator app is set up already."""

    reason: ClassVar[str] = "TOTP_EXISTS"


class EnrolmentInvalid(Exception):
    """What was begun is over, or is another person's."""

    reason: ClassVar[str] = "ENROLMENT_INVALID"


class ConfirmationWrong(Exception):
    """The app shows another code: it, or its clock, is not set up right."""

    reason: ClassVar[str] = "CONFIRMATION_WRONG"
    field = "code"


class PasskeyRefused(Exception):
    """What the authenticator says cannot be believed."""

    reason: ClassVar[str] = "PASSKEY_REFUSED"


class PasskeysTooMany(Exception):
    """No more passkeys than the bound."""

    reason: ClassVar[str] = "PASSKEYS_TOO_MANY"


class PasskeyNotFound(Exception):
    """There is no such passkey."""

    reason: ClassVar[str] = "PASSKEY_NOT_FOUND"


class SecondFactorThrottled(Exception):
    """Too many were wrong; says when to come back."""

    reason: ClassVar[str] = "SECOND_FACTOR_THROTTLED"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class SecondFactorMissing(Exception):
    """There is no authenticator app and no passkey that this could stand beside."""

    reason: ClassVar[str] = "SECOND_FACTOR_MISSING"


class SecondFactorNeeded(Exception):
    """Who has a second factor proves himself by it: the password alone is not enough."""

    reason: ClassVar[str] = "SECOND_FACTOR_NEEDED"


@dataclass(frozen=True, slots=True)
class Totp:
    """An authenticator app that was confirmed."""

    totp_id: uuid.UUID
    secret: bytes = field(repr=False)
    """Sealed."""
    last_step: int
    """The step of the last code that was taken; none before it is taken any more."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Factors:
    """What a person has set up, and where his tries stand."""

    totp: Totp | None = None
    recovery_codes: int = 0
    """Those left."""
    passkeys: int = 0
    reset_at: datetime | None = None
    """When support's reset takes effect; None where none was decided."""

    @property
    def is_second(self) -> bool:
        """Whether there is one to ask for at sign-in."""
        return self.totp is not None or self.passkeys > 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be asked for, the handiest first."""
        if not self.is_second:
            return ()
        told = (
            ("passkey", self.passkeys > 0),
            ("totp", self.totp is not None),
            ("recovery_code", self.recovery_codes > 0),
        )
        return tuple(kind for kind, there in told if there)


def hotp(secret: bytes, counter: int, digits: int = DIGITS, digest: str = "sha1") -> str:
    """The code of a counter (RFC 4226, section 5.3)."""
    mac = hmac.digest(secret, counter.to_bytes(8), digest)
    start = mac[-1] & 0x0F
    number = int.from_bytes(mac[start : start + 4]) & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"


def step_at(now: datetime) -> int:
    """The number of the step that `now` is in (RFC 6238, section 4.2)."""
    return int(now.timestamp()) // STEP_S


def step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """The step whose code this is, None where it is of none that is taken now.

    Looks at every step of the window, whichever fits: the time tells nothing.
    """
    typed = code.replace(" ", "").encode()
    found = None
    for step in range(step_at(now) - WINDOW, step_at(now) + WINDOW + 1):
        if hmac.compare_digest(hotp(secret, step).encode(), typed):
            found = step
    return found


def otpauth_uri(secret: bytes, account: str) -> str:
    """What an app reads from the QR code (Google Authenticator's key URI format)."""
    label = f"{quote(ISSUER)}:{quote(account)}"
    told = {
        "secret": base32(secret),
        "issuer": ISSUER,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_S,
    }
    return f"otpauth://totp/{label}?{urlencode(told)}"


def base32(secret: bytes) -> str:
    """As people type it into an app."""
    return base64.b32encode(secret).decode().rstrip("=")


def recovery_code(entropy: bytes) -> str:
    """A code as it is shown, `abcd-efgh-ijkl-mnop`: base32, which has no 0, 1 and 8."""
    text = base64.b32encode(entropy).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def plain_recovery_code(typed: str) -> bytes:
    """As it is hashed: however it was typed."""
    return "".join(each for each in typed.lower() if each.isalnum()).encode()


def amr_of_passkey(*, is_verified: bool, is_synced: bool) -> frozenset[str]:
    """What a passkey proves (RFC 8176): a key that cannot leave its device is `hwk`."""
    return frozenset({"swk" if is_synced else "hwk", "mfa"} | ({"user"} if is_verified else set()))

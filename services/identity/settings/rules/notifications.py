"""What is told of by which ways, and when not."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.identity.profiles.rules.errors import FieldInvalid
from services.identity.settings.rules.errors import NotificationMandatory


class Kind(enum.IntEnum):
    """What something is about; numbered as in the contract."""

    SECURITY = 1
    SOCIAL = 2
    MESSAGES = 3
    GROUPS = 4
    TRAINING = 5
    REWARDS = 6
    EQUIPMENT = 7
    ORDERS = 8
    NEWS = 9
    MARKETING = 10


class Channel(enum.Enum):
    """By which way it comes."""

    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"


Channels = frozenset[Channel]
Choices = Mapping[Kind, Channels]
_PUSH = frozenset({Channel.PUSH})
_BOTH = frozenset({Channel.PUSH, Channel.EMAIL})
USUAL: Final[Choices] = MappingProxyType(
    {
        Kind.SECURITY: _BOTH,
        Kind.SOCIAL: _PUSH,
        Kind.MESSAGES: _PUSH,
        Kind.GROUPS: _BOTH,
        Kind.TRAINING: _PUSH,
        Kind.REWARDS: _PUSH,
        Kind.EQUIPMENT: _PUSH,
        Kind.ORDERS: _BOTH,
        # Nobody is asked to refuse what he did not ask for.
        Kind.NEWS: frozenset(),
        Kind.MARKETING: frozenset(),
    }
)
"""Where nothing was chosen."""
MANDATORY: Final[Choices] = MappingProxyType({Kind.SECURITY: _BOTH})
"""What cannot be switched off."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A time of day that may go over midnight."""

    from_minute: int
    to_minute: int
    days: tuple[int, ...] = ()
    """On which it begins, Monday is 1; every day where there is none."""


def chosen(before: Choices, wanted: Choices) -> dict[Kind, Channels]:
    """The choices with those kinds replaced that are wanted otherwise.

    Raises:
        NotificationMandatory: one would be without a channel that it needs.
    """
    for kind, channels in wanted.items():
        if not channels >= MANDATORY.get(kind, frozenset()):
            raise NotificationMandatory(f"{kind.name} comes by push and e-mail")
    return {**before, **wanted}


def check_quiet_hours(quiet: QuietHours) -> None:
    """Checks that there is such a time.

    Raises:
        FieldInvalid: it would never begin, or never end.
    """
    if quiet.from_minute == quiet.to_minute:
        raise FieldInvalid("settings.quiet_hours", "they end when they begin")

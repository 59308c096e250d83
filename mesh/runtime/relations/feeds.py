"""Through which partition of the bus somebody's relations come, and the keys of their events."""

from __future__ import annotations

import itertools
import uuid
from functools import cache
from typing import Final

from mesh.runtime.relay import PARTITIONS, partition_of

BEAT_EVERY_S: Final = 2.0
"""How often identity sends a beat through each partition."""
BEHIND_AFTER_S: Final = 6.0
"""A copy that heard no beat for so long may lack a block: its answer is no."""


def key_of(user: uuid.UUID) -> str:
    """The key of the events about a person's relations."""
    return f"users/{user}/relations"


def feed_of(user: uuid.UUID) -> int:
    """The partition that they come through."""
    return partition_of(key_of(user))


@cache
def beat_keys() -> tuple[str, ...]:
    """The key of the beats of each partition."""
    return tuple(_beat_key(feed) for feed in range(PARTITIONS))


def _beat_key(feed: int) -> str:
    keys = (f"relations/beats/{feed}-{salt}" for salt in itertools.count())
    return next(key for key in keys if partition_of(key) == feed)

"""A question's descriptors -> what is counted, under which key, how many of it in how long.

Owns the keys: a keyed hash of what is counted, so that Redis holds no address and no
person's id, and nobody can guess one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItem, RateLimitItemPerSecond

from gateway.limiter.wire import Descriptor
from gateway.limits import LIMIT_ENTRY
from gateway.overrides import MAX_REQUESTS, MAX_WINDOW_S

_DIGEST_BYTES = 16


class DescriptorError(ValueError):
    """A descriptor says no limit, or nothing to count by."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing to count."""

    key: str
    item: RateLimitItem
    """Of the limits library: how many in how many seconds."""
    hits: int


class Reader:
    """Reads descriptors; all that count together hash keys with one `secret`."""

    def __init__(self, secret: bytes) -> None:
        """`secret` may have any length but none."""
        if not secret:
            raise DescriptorError("there is no secret to hash keys with")
        self._hash = hashlib.blake2b(
            key=hashlib.sha256(secret).digest(),
            digest_size=_DIGEST_BYTES,
            person=b"palestra-limits",
        )

    def read(self, domain: str, descriptor: Descriptor) -> Asked:
        """What a descriptor asks to count.

        Raises:
            DescriptorError: it says no limit that could be meant.
        """
        item, mixed = None, self._hash.copy()
        mixed.update(_framed(domain))
        for key, value in descriptor.entries:
            if key == LIMIT_ENTRY:
                item = _item(value)
            else:
                mixed.update(_framed(key) + _framed(value))
        if item is None:
            raise DescriptorError(f"a descriptor of {domain!r} has no entry {LIMIT_ENTRY!r}")
        return Asked(mixed.hexdigest(), item, descriptor.hits)


def _framed(text: str) -> bytes:
    """With its length before it: two entries never read as one."""
    raw = text.encode()
    return len(raw).to_bytes(4) + raw


@lru_cache(maxsize=1024)
def _item(text: str) -> RateLimitItem:
    requests, _, window_s = text.partition("/")
    if not (text.isascii() and requests.isdecimal() and window_s.isdecimal()):
        raise DescriptorError(f"{text!r} is no limit; 300/60 would be one")
    if not (1 <= int(requests) <= MAX_REQUESTS and 1 <= int(window_s) <= MAX_WINDOW_S):
        raise DescriptorError(
            f"{text!r} is not within {MAX_REQUESTS} requests and {MAX_WINDOW_S} seconds"
        )
    return RateLimitItemPerSecond(int(requests), int(window_s))

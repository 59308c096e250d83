"""A try: asked for, made, and told how it ended.

Owns by what tries are counted: by the address that was tried and by the network it came
from; or, where the device has signed in before, by that device alone. So whoever guesses
slows himself down and not the owner (OWASP calls it device cookies).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mesh.runtime.clock import Clock
from mesh.runtime.sealing import Sealer
from services.identity.throttle import rules
from services.identity.throttle.counts import Counts
from services.identity.throttle.rules import Policy, SignInThrottled, Verdict

LONGEST_WAIT_S = 2.0
"""For other processes' tries; less than a call may last."""
AT_ONCE = 2
"""Tries of one account in this process: as many as hash at once. The others need not ask
Redis, and places are left for other processes.
"""
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.02, 0.3
_NONCE_BYTES, _PROOF_BYTES = 16, 32
Bucket = tuple[str, Policy]


@dataclass(slots=True)
class Try:
    """One try under way; whoever makes it says how it ended."""

    outcome: str = "abandoned"
    failures: dict[str, int] = field(default_factory=dict)
    """By policy, once it has ended."""

    def failed(self) -> None:
        """It was wrong."""
        self.outcome = "failed"

    def succeeded(self) -> None:
        """It was right."""
        self.outcome = "succeeded"

    @property
    def is_to_be_told(self) -> bool:
        """Whether it is the failure at which the person is written to."""
        return self.failures.get(rules.ACCOUNT.name) == rules.ACCOUNT.told_at


class Queues:
    """Lets so many in at once, by key; keeps nothing where nobody is."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, key: str, most: int) -> AsyncIterator[None]:
        """Waits for a place."""
        places, users = self._held.get(key, (asyncio.Semaphore(most), 0))
        self._held[key] = places, users + 1
        try:
            async with places:
                yield
        finally:
            places, users = self._held[key]
            self._held[key] = places, users - 1
            if users == 1:
                del self._held[key]


@dataclass(frozen=True, slots=True)
class Throttle:
    """Lets tries through, or says when to come back."""

    counts: Counts
    sealer: Sealer
    clock: Clock
    _queues: Queues = field(default_factory=Queues)

    @asynccontextmanager
    async def one_try(
        self, address_key: str, network: str, user_id: uuid.UUID | None, device_token: str
    ) -> AsyncIterator[Try]:
        """A try at the account of an address, if there is one.

        Raises:
            SignInThrottled: too many failed.
        """
        buckets = self._buckets(address_key, network, user_id, device_token)
        async with self._queues.of(buckets[0][0], AT_ONCE):
            for key, policy in reversed(buckets):
                await self._let_in(key, policy)
            made = Try()
            try:
                yield made
            finally:
                await self._end(buckets, made)

    async def forgive(self, address_key: str) -> None:
        """The owner has shown himself: what was tried before counts no more."""
        await self.counts.forget(self._key(rules.ACCOUNT, address_key))

    def device_token(self, user_id: uuid.UUID) -> str:
        """By which a device shows that a person has signed in on it before."""
        nonce = os.urandom(_NONCE_BYTES)
        proof = self.sealer.hashes(nonce, f"device/{user_id}")[0]
        return base64.urlsafe_b64encode(nonce + proof).rstrip(b"=").decode()

    def _buckets(
        self, address_key: str, network: str, user_id: uuid.UUID | None, device_token: str
    ) -> Sequence[Bucket]:
        device = self._device(user_id, device_token)
        if device:
            return [(self._key(rules.DEVICE, device), rules.DEVICE)]
        buckets: list[Bucket] = [(self._key(rules.ACCOUNT, address_key), rules.ACCOUNT)]
        if counted := network_of(network):
            buckets.append((self._key(rules.NETWORK, counted), rules.NETWORK))
        return buckets

    def _device(self, user_id: uuid.UUID | None, token: str) -> str:
        """The nonce of a token that is the person's; empty where it is not."""
        try:
            told = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return ""
        if len(told) != _NONCE_BYTES + _PROOF_BYTES or user_id is None:
            return ""
        nonce, proof = told[:_NONCE_BYTES], told[_NONCE_BYTES:]
        proofs = self.sealer.hashes(nonce, f"device/{user_id}")
        if not any(hmac.compare_digest(proof, each) for each in proofs):
            return ""
        return nonce.hex()

    def _key(self, policy: Policy, of: str) -> str:
        return self.sealer.hashes(of.encode(), f"throttle/{policy.name}")[0].hex()

    async def _let_in(self, key: str, policy: Policy) -> None:
        look_s, waited_s = _FIRST_LOOK_S, 0.0
        # Of a network no place is held: so many come from one that few would wait for all.
        operation = "look" if policy is rules.NETWORK else "begin"
        while True:
            verdict, wait_ms, _ = await self.counts.change(key, operation, policy, self._now_ms())
            if verdict is Verdict.LATER:
                raise SignInThrottled(wait_ms / 1000)
            if verdict is Verdict.GO or policy is rules.NETWORK:
                return
            if waited_s >= LONGEST_WAIT_S:
                raise SignInThrottled(policy.first_s)
            await asyncio.sleep(look_s)
            waited_s, look_s = waited_s + look_s, min(2 * look_s, _LONGEST_LOOK_S)

    async def _end(self, buckets: Sequence[Bucket], made: Try) -> None:
        for key, policy in buckets:
            # Who has one account of his own does not get tries at others by it.
            if policy is rules.NETWORK and made.outcome != "failed":
                continue
            _, _, failures = await self.counts.change(key, made.outcome, policy, self._now_ms())
            made.failures[policy.name] = failures

    def _now_ms(self) -> int:
        return int(self.clock().timestamp() * 1000)


def network_of(address: str) -> str:
    """What is counted together of network addresses; empty for this machine's own.

    Behind a proxy that is not declared, all would come from this machine: counted together,
    one could keep out all others.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 6 and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return ""
    return str(found if found.version == 4 else ipaddress.ip_network((found, 64), strict=False))

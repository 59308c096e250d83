"""Use cases of erasing: planned, cancelled, done step by step, proved, and kept done.

The order: nothing is written of the person any more (the point of no return, told by event in
the same transaction); the tombstone; his sessions; the last letter, while there is an address;
identity's own things, his key and account among them, so that nobody signs in again; every
other service; and, when all that could still come has come, all of them once more. Whoever is
killed leaves steps that are done again.
"""

from __future__ import annotations

import json
import os
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from mesh.runtime.clock import Clock
from mesh.runtime.errors import MeshError, Unavailable
from mesh.runtime.ids import keyed_id, uuid7
from mesh.runtime.personkeys import PersonKeys
from mesh.runtime.sealing import Sealer
from mesh.runtime.subjects.peers import Peers
from mesh.runtime.subjects.tombstones import Tombstone, Tombstones
from services.identity import events
from services.identity.erasures import rules
from services.identity.erasures.certificates import Certifier
from services.identity.erasures.rules import Erasure, State, Step
from services.identity.erasures.store import ErasureStore
from services.identity.letters.flow import LetterFlow
from services.identity.letters.rules import Kind, Waiting
from services.identity.letters.senders import NotSent
from services.identity.sessions.flow import SessionFlow

TOMBSTONE, SESSIONS, FAREWELL = "tombstone", "sessions", "farewell"
FIRST: Final = (TOMBSTONE, SESSIONS, FAREWELL)
"""What is done before any service is asked."""
HERE = "identity"
AT_ONCE = 20
PEOPLE_AT_ONCE = 1_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ErasureFlow:
    """Erasing people."""

    store: ErasureStore
    peers: Peers
    sessions: SessionFlow
    letters: LetterFlow
    tombstones: Tombstones
    keys: PersonKeys
    certifier: Certifier
    sealer: Sealer
    grace: timedelta
    """Between asking and erasing."""
    clock: Clock

    async def request(self, user_id: uuid.UUID) -> tuple[Erasure, str]:
        """Plans an erasure; where one is planned already, finds it. And its secret.

        Raises:
            UserNotFound
        """
        now, erasure_id = self.clock(), uuid7()
        secret = urlsafe_b64encode(os.urandom(rules.SECRET_BYTES)).rstrip(b"=").decode()
        await self.store.plan(
            Erasure(
                user_id=user_id,
                erasure_id=erasure_id,
                state=State.PLANNED,
                requested_at=now,
                due_at=now + self.grace,
                begun_at=None,
                erased_at=None,
                finished_at=None,
                secret_hash=rules.secret_hash(secret),
                secret_sealed=self.sealer.seal(secret.encode(), _place(erasure_id)),
                key_id=None,
                certificate="",
                revision=1,
            )
        )
        found = await self.store.of_user(user_id)
        if found is None:
            raise rules.UserNotFound
        return found, self._secret(found)

    async def erasure(self, user_id: uuid.UUID) -> Erasure:
        """What is planned.

        Raises:
            ErasureNotFound
        """
        found = await self.store.of_user(user_id)
        if found is None:
            raise rules.ErasureNotFound
        return found

    async def cancel(self, user_id: uuid.UUID) -> Erasure:
        """Cancels what is planned; what was cancelled stays so.

        Raises:
            ErasureNotFound, ErasureBegun
        """
        found = rules.check_cancellable(await self.store.of_user(user_id))
        if found.state is State.PLANNED and not await self.store.cancel(found, self.clock()):
            rules.check_cancellable(await self.store.of_user(user_id))
        return await self.erasure(user_id)

    async def certificate(self, erasure_id: uuid.UUID, secret: str) -> tuple[Erasure, str]:
        """An erasure with its certificate, and the key that verifies it.

        Raises:
            ErasureNotFound: also where the secret is another.
        """
        found = rules.check_secret(await self.store.by_id(erasure_id), secret)
        return found, await self.certifier.public_key()

    async def turn(self) -> None:
        """Does what is due, of each a step at a time, until all is done or waited for."""
        while True:
            found = await self.store.due(self.clock(), AT_ONCE)
            moved = [await self._moved(each) for each in found]
            if not any(moved):
                return

    async def _moved(self, erasure: Erasure) -> bool:
        try:
            return await self.step(erasure)
        except Exception:
            # One that cannot be done must not keep the others waiting.
            _log.exception("erasure_step_failed")
            return False

    async def step(self, erasure: Erasure) -> bool:
        """The next thing of an erasure; false where there is nothing to do now."""
        now = self.clock()
        if not rules.is_due(erasure, now):
            return False
        if erasure.state is State.PLANNED:
            return await self.store.begin(erasure, events.user_erased(erasure.user_id), now)
        steps = await self.store.steps(erasure)
        for names in (FIRST, self.peers.services) if erasure.look == 1 else (self.peers.services,):
            if not rules.is_erased(steps, erasure.look, names):
                name = rules.next_step(steps, erasure.look, names, now)
                return bool(name) and await self._do(erasure, steps, name)
        return await self._finish(erasure, steps)

    async def _do(self, erasure: Erasure, steps: list[Step], name: str) -> bool:
        """One step; it is kept that it was done, or is to be tried again."""
        now = self.clock()
        before = [s.attempts for s in steps if (s.look, s.service) == (erasure.look, name)]
        attempts = before[0] if before else 0
        try:
            erased = await self._erase(erasure, name, attempts)
        except MeshError as error:
            _log.warning("erasure_waits", peer=name, reason=error.reason)
            next_at = now + rules.delay(attempts)
            step = Step(erasure.look, name, None, attempts + 1, next_at, None)
            await self.store.say(erasure, step)
            return True  # the others go on
        if erased is not None:
            await self.store.say(erasure, Step(erasure.look, name, erased, 0, now, now))
        return True

    async def _erase(self, erasure: Erasure, name: str, attempts: int) -> str | None:
        """What was erased, as JSON; None where more is left."""
        user_id = erasure.user_id
        if name == TOMBSTONE:
            at = erasure.begun_at or self.clock()
            stone = Tombstone(user_id, at, erasure.erasure_id, erasure.secret_hash)
            await self.tombstones.write(stone)
            return "[]"
        if name == SESSIONS:
            await self.sessions.end_all(user_id, "erased")
            return "[]"
        if name == FAREWELL:
            await self._say_farewell(erasure, attempts)
            return "[]"
        things, done = await self.peers.erase(name, user_id)
        if not done:
            return None
        self.keys.forget(user_id)
        return json.dumps(
            [
                {"table": each.table, "count": each.count, "last_at": each.last_at.isoformat()}
                for each in things
            ]
        )

    async def _say_farewell(self, erasure: Erasure, attempts: int) -> None:
        """The last letter, while there is an address; after some tries it goes on without.

        Raises:
            Unavailable: nobody takes it now.
        """
        letter_id = keyed_id(erasure.user_id, FAREWELL, str(erasure.erasure_id))
        details = {"certificate": str(erasure.erasure_id)}
        letter = Waiting(
            erasure.user_id, letter_id, Kind.ERASURE_BEGUN, None, details, attempts + 1
        )
        try:
            await self.letters.part(letter)
        except NotSent as error:
            if attempts + 1 < rules.MOST_FAREWELLS:
                raise Unavailable("nobody carries letters now") from error
            # Never the words of an error: whoever refused may repeat the address in them.
            _log.warning("erasure_without_farewell")

    async def _finish(self, erasure: Erasure, steps: list[Step]) -> bool:
        now = self.clock()
        state = State.SETTLING if erasure.state is State.ERASING else State.DONE
        told = [step for step in steps if step.service not in FIRST]
        certificate = await self.certifier.certify(erasure, told, state)
        next_at = now + rules.SETTLES_AFTER
        return await self.store.move(erasure, state, certificate, now, next_at)

    async def keep_erased(self) -> None:
        """Whoever has a tombstone and is back is erased here at once, elsewhere soon.

        Run before the first call is answered: a database that was restored from a backup does
        not know of its last erasures.

        Raises:
            SealBroken: a tombstone cannot be read. Then nobody knows who must not be here.
        """
        async for names in self.tombstones.names():
            for name in await self.store.unknown(names):
                stone = await self.tombstones.read(name)
                await self.store.erase_again(stone, self.clock())
                await self.sessions.end_all(stone.user_id, "erased")
                await self._erase_all(HERE, stone.user_id)
                _log.warning("erased_again", peer=HERE)

    async def reconcile(self) -> None:
        """Asks every service whether it forgot that it erased somebody, and erases again.

        Raises:
            Unavailable: one does not answer; what it forgot is found the next time.
        """
        await self.keep_erased()
        after = uuid.UUID(int=0)
        while people := await self.store.erased(after, PEOPLE_AT_ONCE):
            after = people[-1]
            for service in self.peers.services:
                for user_id in await self.peers.unerased(service, people):
                    await self._erase_all(service, user_id)
                    _log.warning("erased_again", peer=service)

    async def _erase_all(self, service: str, user_id: uuid.UUID) -> None:
        while not (await self.peers.erase(service, user_id))[1]:
            pass

    def _secret(self, erasure: Erasure) -> str:
        if erasure.state is not State.PLANNED or erasure.secret_sealed is None:
            return ""
        return self.sealer.open(erasure.secret_sealed, _place(erasure.erasure_id)).decode()


def _place(erasure_id: uuid.UUID) -> str:
    return f"erasure-secret/{erasure_id}"

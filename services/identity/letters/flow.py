"""Sending letters: claim, make the code, hand over, forget.

Any number of processes may do it at once. A letter is handed over by one of them; killed
before it could say so, another sends it again after a while, with a code of its own: of
two letters the code of the newer one holds.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter

from mesh.observability import schema
from mesh.runtime.clock import Clock
from mesh.runtime.sealing import Sealer
from services.identity.codes import rules as codes
from services.identity.codes.store import CodeStore
from services.identity.letters import rules
from services.identity.letters.rules import Addressee, Letter, Waiting
from services.identity.letters.senders import NotSent, Outgoing, Sender
from services.identity.letters.store import LetterStore
from services.identity.letters.waking import Waking
from services.identity.letters.words import words_of

AT_ONCE = 8
PATIENCE_S = 5.0
"""For one letter to be taken; less than the shortest time until the next try."""
LETTERS = Counter(schema.LETTERS, "Letters by what became of them.", ("kind", "outcome"))
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LetterFlow:
    """Asks for letters, and sends those that are due."""

    store: LetterStore
    codes: CodeStore
    sender: Sender | None
    """None where nobody carries letters: they wait."""
    sealer: Sealer
    clock: Clock
    draw: Callable[[int], int] = secrets.randbelow

    async def ask(self, letter: Letter) -> None:
        """Asks for a letter that tells of no change of identity's own rows."""
        await self.store.ask(letter, self.clock())

    async def part(self, letter: Waiting) -> None:
        """Hands a last letter over at once, and keeps nothing of it: its address goes next.

        Killed before it could say so, its caller does it again, with the letter's same id.
        Nothing where nobody carries letters, or there is no address.

        Raises:
            NotSent
        """
        if self.sender is None:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await self._send(letter)
        except TimeoutError:
            raise NotSent("nobody took it in time") from None
        LETTERS.labels(letter.kind.value, outcome).inc()

    async def run(self, waking: Waking) -> None:
        """Sends what is due whenever there is something, until cancelled."""
        if self.sender is None:
            _log.warning("letters_wait", why="nobody is set to carry them")
            return
        await waking.run(self.deliver)

    async def deliver(self) -> None:
        """Sends all that is due now, at most so many at once."""
        while letters := await self.store.claim(AT_ONCE, self.clock()):
            await asyncio.gather(*(self._try(each) for each in letters))

    async def tidy(self) -> None:
        """Forgets what was given up long ago, and codes that nobody can use."""
        now = self.clock()
        await self.store.purge(now - rules.DEAD_KEPT)
        await self.codes.purge(now - codes.FORGOTTEN_AFTER)

    async def _try(self, letter: Waiting) -> None:
        if letter.is_given_up:
            await self._give_up(letter, "Killed")
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await self._send(letter)
        except Exception as error:
            # Never the words of an error: whoever refused may repeat the address in them.
            await self._failed(letter, type(error).__name__)
            return
        await self.store.done(letter.user_id, letter.letter_id)
        LETTERS.labels(letter.kind.value, outcome).inc()

    async def _send(self, letter: Waiting) -> str:
        addressee = await self.store.addressee(letter)
        if addressee is None:
            return "no_address"
        now, code = self.clock(), ""
        if letter.kind in rules.WITH_CODE:
            code = await self._make_code(letter, addressee, now)
            if not code:
                return "not_asked"
        if self.sender is None:
            raise NotSent("nobody carries letters")
        await self.sender.send(
            Outgoing(
                letter.letter_id,
                letter.kind.value,
                addressee.language,
                addressee.channel,
                addressee.address,
                code,
                codes.expiry(now) if code else None,
                letter.details,
                now,
                *words_of(letter.kind, addressee.language, code, letter.details),
            )
        )
        return "sent"

    async def _make_code(self, letter: Waiting, addressee: Addressee, now: datetime) -> str:
        """A new code, whose hash is kept before anybody sees it; empty where none is asked."""
        code = codes.text_of(self.draw(10**codes.DIGITS))
        purpose = codes.Purpose(letter.kind.value)
        place = codes.place_of(letter.user_id, purpose, addressee.address_id)
        kept = self.sealer.hashes(code.encode(), place)[0]
        made = await self.codes.make(
            letter.user_id, purpose, addressee.address_id, kept, codes.expiry(now)
        )
        return code if made else ""

    async def _failed(self, letter: Waiting, why: str) -> None:
        _log.warning("letter_not_sent", kind=letter.kind.value, tries=letter.tries, why=why)
        LETTERS.labels(letter.kind.value, "failed").inc()
        if letter.is_last_try:
            await self._give_up(letter, why)

    async def _give_up(self, letter: Waiting, why: str) -> None:
        await self.store.give_up(letter.user_id, letter.letter_id, self.clock())
        LETTERS.labels(letter.kind.value, "dead").inc()
        _log.error("letter_dead", kind=letter.kind.value, tries=letter.tries, why=why)

"""People whose apps call all the while, and renew their tokens as they should.

Owns the asking and the counting. Tokens are renewed long before their end. Only where
an answer says that the token is no more believed is it renewed and the call made again, once;
what is refused then has failed, and so has everything else that is no success.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import httpx

from tests.support.athletes import Athlete
from tests.support.standstill import Late

RENEWED_EVERY_S = 10.0
NOT_BELIEVED = frozenset({"TOKEN_INVALID", "TOKEN_REVOKED"})


class Person:
    """One app."""

    def __init__(self, athlete: Athlete, crowd: RenewingPeople) -> None:
        self._crowd = crowd
        self._refresh_token = athlete.refresh_token
        self._token, self._renewed_s = athlete.token, time.monotonic()

    async def run(self, rest: httpx.AsyncClient, paths: Sequence[str], every_s: float) -> None:
        """Calls until told to end."""
        begun, number = time.monotonic(), 0
        while not self._crowd.ending:
            if time.monotonic() > self._renewed_s + RENEWED_EVERY_S:
                await self.renew(rest)
            await self._read(rest, paths[number % len(paths)])
            number += 1
            await asyncio.sleep(max(0.0, begun + number * every_s - time.monotonic()))

    async def renew(self, rest: httpx.AsyncClient) -> None:
        """The next tokens; a failure is counted."""
        begun_s = time.monotonic()
        told = await rest.post("/v1/auth:refresh", json={"refreshToken": self._refresh_token})
        self._crowd.renewals += 1
        if told.status_code != httpx.codes.OK:
            self._crowd.fails("refresh", told, begun_s)
            return
        found = told.json()
        self._token, self._refresh_token = found["accessToken"], found["refreshToken"]
        self._renewed_s = time.monotonic()

    async def _read(self, rest: httpx.AsyncClient, path: str) -> None:
        for again in (False, True):
            headers = {"authorization": f"Bearer {self._token}"}
            begun_s = time.monotonic()
            answer = await rest.get(path, headers=headers)
            self._crowd.sent += 1
            if answer.status_code == httpx.codes.OK:
                return
            reason = answer.json()["details"][0]["reason"]
            if again or reason not in NOT_BELIEVED:
                self._crowd.fails(path, answer, begun_s)
                return
            self._crowd.refused[f"{self._crowd.phase}: {reason}"] += 1
            await self.renew(rest)


class RenewingPeople:
    """All of them."""

    def __init__(self, athletes: Sequence[Athlete], paths: Sequence[str], rate: float) -> None:
        """`rate` is of all of them together, a second."""
        self.phase, self.ending = "before", False
        self.sent = self.renewals = 0
        self.refused: Counter[str] = Counter()
        """Calls whose token was not believed, by phase; made again with another."""
        self.failures: Counter[str] = Counter()
        self.late: list[Late] = []
        """Those of the failures whose deadline passed."""
        self._people = [Person(each, self) for each in athletes]
        self._url, self._paths = athletes[0].stack.rest_url, paths
        self._every_s = len(athletes) / rate

    def fails(self, what: str, answer: httpx.Response, begun_s: float) -> None:
        """Counts a failure of a call that began then, by `time.monotonic`."""
        words = f"{answer.status_code} {answer.json()['details'][0]['reason']}"
        kind = f"{self.phase}: {what}: {words}"
        self.failures[kind] += 1
        if answer.status_code == httpx.codes.GATEWAY_TIMEOUT:
            self.late.append(Late(kind, begun_s, time.monotonic()))

    async def run(self) -> None:
        """Until `ending`."""
        async with httpx.AsyncClient(base_url=self._url, timeout=10) as rest:
            await asyncio.gather(
                *(each.run(rest, self._paths, self._every_s) for each in self._people)
            )

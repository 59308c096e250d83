"""Reads through the edge all the while, by a client that does not retry.

Owns the thread in which they are made, and what came of them.
"""

from __future__ import annotations

import threading
from typing import Self

import httpx

from tests.support.mesh_stack import MeshStack

PATHS = ("/v1/users/me", "/v1/users/me/activities/a1")


class SteadyReads:
    """Reads all the while, at up to a hundred a second, by a client that does not retry."""

    def __init__(self, mesh: MeshStack) -> None:
        self._mesh = mesh
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.good = 0
        self.failures: list[str] = []

    def _call(self) -> None:
        with httpx.Client(base_url=self._mesh.url, timeout=10) as client:
            while not self._done.wait(0.01):
                # Another user each time: one alone would be slowed down.
                headers = {"authorization": f"Bearer {self._mesh.token()}"}
                for path in PATHS:
                    self._read(client, path, headers)

    def _read(self, client: httpx.Client, path: str, headers: dict[str, str]) -> None:
        try:
            answer = client.get(path, headers=headers)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        if answer.status_code == 200:
            self.good += 1
        else:
            self.failures.append(answer.text)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

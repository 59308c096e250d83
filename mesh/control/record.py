"""What each proxy took and refused: the memory behind `control.json`.

Owns which version of a type is served: the newest, unless the proxy refused
it, then the last that it took. Writes the file whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mesh.control.authority import utc_now, write_private
from mesh.control.snapshot import EMPTY, Snapshot, Typed

_MAX_WORDS = 2000
_SETTLE_S = 0.02


@dataclass(frozen=True, slots=True)
class Rejection:
    """A configuration that was not taken."""

    proxy: str
    """`edge`, `node`, or `control` for an input that was refused here."""
    type_url: str
    version: str
    error: str
    at: str


class Record:
    """What is published, who is connected, what was taken, what was refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._snapshots: dict[str, Snapshot] = {}
        self._taken: dict[tuple[str, str], Typed] = {}
        self._rejections: dict[tuple[str, str], Rejection] = {}
        self._streams: dict[str, int] = {}
        self._written: str | None = None
        self._changed = asyncio.Event()
        self.key_ids: tuple[str, ...] = ()
        self.keys_known = False

    def publish(self, snapshots: Mapping[str, Snapshot]) -> None:
        """The configuration from now on."""
        self._snapshots = dict(snapshots)
        for key in list(self._rejections):
            self._forget_if_over(*key)
        self._changed.set()

    def knows(self, proxy: str) -> bool:
        """Whether there is anything to tell such a proxy."""
        return proxy in self._snapshots

    def serve(self, proxy: str, type_url: str) -> Typed:
        """What a proxy gets of a type: never again what it refused."""
        newest = self._snapshots[proxy].of(type_url)
        rejection = self._rejections.get((proxy, type_url))
        if rejection and rejection.version == newest.version:
            return self._taken.get((proxy, type_url), newest)
        return newest

    def connected(self, proxy: str, change: int) -> None:
        """A stream of the proxy's began (1) or ended (-1)."""
        self._streams[proxy] = self._streams.get(proxy, 0) + change
        self._changed.set()

    def took(self, proxy: str, type_url: str, typed: Typed) -> None:
        """The proxy acknowledged; a refusal of something older is over."""
        self._taken[proxy, type_url] = typed
        self._forget_if_over(proxy, type_url)
        self._changed.set()

    def _forget_if_over(self, proxy: str, type_url: str) -> None:
        """A refusal is over when the proxy has the newest there is, or again the old one."""
        newest, taken = self._snapshots.get(proxy), self._taken.get((proxy, type_url))
        if newest and taken and taken.version == newest.of(type_url).version:
            self._rejections.pop((proxy, type_url), None)

    def refused(self, proxy: str, type_url: str, version: str, error: str) -> None:
        """The proxy, or control itself, did not take something."""
        at = utc_now().isoformat(timespec="milliseconds")
        words = error[:_MAX_WORDS]
        self._rejections[proxy, type_url] = Rejection(proxy, type_url, version, words, at)
        self._changed.set()

    def mended(self, proxy: str, type_url: str) -> None:
        """An input that was refused is right again."""
        if self._rejections.pop((proxy, type_url), None):
            self._changed.set()

    def keys(self, key_ids: tuple[str, ...]) -> None:
        """The token keys that the edge verifies by."""
        self.key_ids, self.keys_known = key_ids, True
        self._changed.set()

    def as_json(self) -> dict[str, object]:
        """The content of `control.json`."""
        connected = sorted(proxy for proxy, count in self._streams.items() if count > 0)
        return {
            "versions": {name: each.version for name, each in sorted(self._snapshots.items())},
            "rejected": [asdict(each) for each in self._rejections.values()],
            "connected": connected,
            "key_ids": list(self.key_ids),
            "ready": self._ready(connected),
        }

    def _ready(self, connected: list[str]) -> bool:
        """Both proxies have all of the newest, and the edge can tell a token."""
        everybody = bool(self._snapshots) and connected == sorted(self._snapshots)
        return everybody and self.keys_known and all(map(self._settled, self._snapshots))

    def _settled(self, proxy: str) -> bool:
        return all(
            self._taken.get((proxy, type_url), EMPTY).version == typed.version
            for type_url, typed in self._snapshots[proxy].types.items()
            if typed.by_name
        )

    async def keep_written(self) -> None:
        """Writes the file after each change, for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_S)
            self._changed.clear()
            self.write()

    def write(self) -> None:
        """Writes the file where it says something new."""
        text = json.dumps(self.as_json(), indent=1)
        if text != self._written:
            write_private(self._path, text.encode())
            self._written = text

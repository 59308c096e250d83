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

from mesh.control import clients
from mesh.control.authority import utc_now, write_private
from mesh.control.selection import Selection
from mesh.control.snapshot import EMPTY, Snapshot, Typed
from mesh.control.wire import CLUSTERS, FILTERS, ROUTES

_MAX_WORDS = 2000
_SETTLE_S = 0.02
_CONTROL, _SLICE = "control", "slice "
_OF_SLICES = (CLUSTERS, FILTERS, ROUTES)


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
        self._slices: dict[str, object] = {}
        self._undecided = False

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

    def selected(self, selection: Selection) -> None:
        """The slice of each domain that is served, and those that are refused."""
        for key in [key for key in self._rejections if key[1].startswith(_SLICE)]:
            del self._rejections[key]
        for domain, refusal in selection.refused.items():
            self.refused(_CONTROL, f"{_SLICE}{domain}", refusal.version, refusal.error)
        served, refused = selection.whole.by_domain, selection.refused
        self._slices = {
            domain: {
                "version": served[domain].version if domain in served else None,
                "refused": refused[domain].version if domain in refused else None,
                "error": refused[domain].error[:_MAX_WORDS] if domain in refused else None,
            }
            for domain in sorted(served.keys() | refused.keys())
        }
        self.decided()

    def asked(self) -> None:
        """Something newer is asked for; until it is decided on, nobody has the newest."""
        self._undecided = True
        self._changed.set()

    def decided(self) -> None:
        """What is published is what is to be served of all that is asked for."""
        self._undecided = False
        self._changed.set()

    def refusals_of_slices(self) -> list[str]:
        """The words of proxies that refused the newest of what is made of slices."""
        return [
            each.error
            for (proxy, type_url), each in self._rejections.items()
            if type_url in _OF_SLICES
            and not clients.is_client(proxy)
            and proxy in self._snapshots
            and self._snapshots[proxy].of(type_url).version == each.version
        ]

    def keys(self, key_ids: tuple[str, ...]) -> None:
        """The token keys that the edge verifies by."""
        self.key_ids, self.keys_known = key_ids, True
        self._changed.set()

    def as_json(self) -> dict[str, object]:
        """The content of `control.json`."""
        return {
            "versions": {name: each.version for name, each in sorted(self._snapshots.items())},
            "slices": self._slices,
            "rejected": [asdict(each) for each in self._rejections.values()],
            "connected": self._connected(),
            "key_ids": list(self.key_ids),
            "ready": self.ready(),
        }

    def _connected(self) -> list[str]:
        return sorted(proxy for proxy, count in self._streams.items() if count > 0)

    def ready(self) -> bool:
        """Both proxies have all of the newest, and the edge can tell a token."""
        proxies = sorted(each for each in self._snapshots if not clients.is_client(each))
        everybody = bool(proxies) and set(proxies) <= set(self._connected())
        known = self.keys_known and not self._undecided
        return everybody and known and all(map(self._settled, proxies))

    def _settled(self, proxy: str) -> bool:
        types = self._snapshots[proxy].types
        return all(self.taken_by(proxy, each) for each in types if types[each].by_name)

    def taken_by(self, proxy: str, type_url: str) -> bool:
        """Whether a proxy has the newest of a type."""
        newest = self._snapshots[proxy].of(type_url)
        return self._taken.get((proxy, type_url), EMPTY).version == newest.version

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

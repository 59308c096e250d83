"""A proxy's configuration, of which only that is made anew whose inputs changed.

Owns what was drawn last. A worker that comes or goes changes one small message; to render,
check and pack all others for it took 440 ms of CPU while people's calls waited for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from mesh.control import consistency, snapshot
from mesh.control.consistency import Names
from mesh.control.inputs import Inputs
from mesh.control.render import Makers
from mesh.control.snapshot import Snapshot, Typed


class _Asked:
    """Inputs that note what is asked of them: nobody can forget to say it."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.values: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = self.values[name] = getattr(self._inputs, name)
        return value


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The resources of one kind, and what they were made of."""

    asked: Mapping[str, Any]
    names: Names
    typed: Typed

    def holds(self, inputs: Inputs) -> bool:
        return all(getattr(inputs, name) == value for name, value in self.asked.items())


class Drawing:
    """The configuration of one proxy."""

    def __init__(self, proxy: str, makers: Makers) -> None:
        self._proxy = proxy
        self._makers = makers
        self._drawn: dict[str, _Drawn] = {}

    def draw(self, inputs: Inputs) -> Snapshot:
        """What the proxy is to be told. What does not fit is not kept.

        Raises:
            InconsistentError: a name leads nowhere.
            gateway.routes.RouteError: the contract has a mapping that cannot be served.
            gateway.pages.PageError: a page cannot.
        """
        drawn = {kind: self._kind(kind, inputs) for kind in self._makers}
        consistency.agree(self._proxy, {kind: each.names for kind, each in drawn.items()})
        self._drawn = drawn
        return snapshot.of(self._proxy, {kind: each.typed for kind, each in drawn.items()})

    def _kind(self, kind: str, inputs: Inputs) -> _Drawn:
        last = self._drawn.get(kind)
        if last is not None and last.holds(inputs):
            return last
        asked = _Asked(inputs)
        messages = self._makers[kind](cast("Inputs", asked))
        return _Drawn(asked.values, consistency.names(messages), snapshot.typed(messages))

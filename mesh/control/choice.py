"""What is asked for, what is served and what was good last, slice by slice.

Owns these three and the file of the last. The deciding is `selection`'s; it may take
a while, and happens in a thread of its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway import overrides
from mesh.control import last_good, selection, slices
from mesh.control.selection import Judge, Selection
from mesh.control.slices import Whole


class Choice:
    """The slices of a control plane."""

    def __init__(self, kept: Path, contract: bytes, changes: bytes, judge: Judge) -> None:
        """Decides what a start serves: the last good at once, what is newer when it is judged.

        Raises:
            ValueError: nothing can be served of the contract, nor of the last good.
        """
        self._kept, self._judge = kept, judge
        self._contract, self._changes = contract, changes
        self.good = last_good.read(kept)
        self._wanted = slices.split(contract, changes)
        self.served: Selection = selection.first(self.good, self._wanted, judge)
        self.waiting = asyncio.Event()
        """Set while something is asked for on which nothing was decided."""
        if self.served.whole is self.good and self.good != self._wanted:
            self.waiting.set()

    def want_contract(self, contract: bytes) -> None:
        """Asks for another contract.

        Raises:
            ValueError: there is no domain in it.
        """
        wanted = slices.split(contract, self._changes)
        if not wanted.by_domain:
            raise ValueError("the contract has no domain")
        self._want(wanted)
        self._contract = contract

    def want_changes(self, changes: bytes) -> None:
        """Asks for other overrides.

        Raises:
            OverrideError: what is of no domain in them cannot be followed.
        """
        wanted = slices.split(self._contract, changes)
        overrides.parse(wanted.shared.overrides, self.served.assembled.contract)
        self._want(wanted)
        self._changes = changes

    def _want(self, wanted: Whole) -> None:
        if wanted != self._wanted:
            self._wanted = wanted
            self.waiting.set()

    def decide(self) -> Selection:
        """What is to be served of what is asked for now; asks the judge, which takes its time.

        Raises:
            ValueError: what all domains share does not fit.
        """
        wanted, served = self._wanted, self.served
        return selection.select(served.whole, wanted, self._judge, served.refused)

    def fall_back(self, words: str) -> Selection | None:
        """What is to be served after a proxy's refusal; None where no slice is to blame."""
        return selection.fall_back(self.served, self.good, words)

    def taken(self) -> None:
        """The proxies have what is served: it is the last good from now on."""
        if self.good != self.served.whole:
            last_good.save(self._kept, self.served.whole)
            self.good = self.served.whole

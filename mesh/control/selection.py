"""Which slice of each domain is served: the newest, or the last good where that is bad.

Owns the decision, domain by domain: one that is refused keeps what it had, and the
others move. Pure but for the judge, which is asked about each slice that changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mesh.control import slices
from mesh.control.slices import NO_CHANGES, Assembled, Slice, Whole

Judge = Callable[[Assembled], str | None]
"""Why a proxy would not take this; None where it would."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A slice that is not served."""

    version: str
    error: str
    lasting: bool = True
    """Whether it is bad in itself; otherwise it only does not fit the others of today."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is served, and what was asked for in vain."""

    whole: Whole
    assembled: Assembled
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    """By domain."""

    def with_refusal(self, domain: str, refusal: Refusal) -> Selection:
        """The same with one more that is not served."""
        return Selection(self.whole, self.assembled, {**self.refused, domain: refusal})


def first(good: Whole | None, wanted: Whole, judge: Judge) -> Selection:
    """The selection of a start: `good`, what the last run served, without a question.

    What is wanted beside it is decided on while that is served. Of a first start all is
    new: nothing is served that was not judged.

    Raises:
        ValueError: nothing of it can be served.
    """
    if good is not None and good.by_domain:
        with contextlib.suppress(ValueError):
            return Selection(good, slices.assemble(good))
    with contextlib.suppress(ValueError):
        # One look at the whole, and at the parts only if need be.
        assembled = slices.assemble(wanted)
        if judge(assembled) is None:
            return Selection(wanted, assembled)
    nothing = Whole(wanted.shared, {})
    selection = select(nothing, wanted, judge, {})
    if wanted.by_domain and not selection.whole.by_domain:
        raise ValueError("; ".join(each.error for each in selection.refused.values()))
    return selection


def select(served: Whole, wanted: Whole, judge: Judge, refused: Mapping[str, Refusal]) -> Selection:
    """What is served from now on. `refused` is what was refused before: it is not judged again.

    Raises:
        ValueError: what all domains share does not fit what is served.
    """
    kept = {name: each for name, each in served.by_domain.items() if name in wanted.by_domain}
    whole = Whole(wanted.shared, kept)
    so_far = Selection(whole, slices.assemble(whole), {})
    same = served.shared == wanted.shared
    waiting = []
    for domain, one in wanted.by_domain.items():
        before = refused.get(domain)
        if same and before and before.lasting and before.version == one.version:
            so_far = so_far.with_refusal(domain, before)
        elif kept.get(domain) != one:
            waiting.append(one)
    return _with_bare(_with_all(so_far, waiting, judge), wanted, judge)


def _with_all(so_far: Selection, waiting: list[Slice], judge: Judge) -> Selection:
    """With whatever fits of what waits, whose order does not matter: one may need another."""
    for _ in range(len(waiting)):
        left = []
        for one in waiting:
            so_far = _with_one(so_far, one, judge)
            refusal = so_far.refused.get(one.domain)
            if refusal and not refusal.lasting:
                left.append(one)
        if len(left) in (0, len(waiting)):
            break
        waiting = left
    return so_far


def _with_one(so_far: Selection, one: Slice, judge: Judge) -> Selection:
    trial = so_far.whole.with_slice(one)
    try:
        assembled = slices.assemble(trial)
    except ValueError as error:
        return so_far.with_refusal(one.domain, Refusal(one.version, str(error), lasting=False))
    try:
        words = judge(slices.alone(trial, one.domain))
    except ValueError as error:
        words = str(error)
    if words:
        return so_far.with_refusal(one.domain, Refusal(one.version, words))
    left = {name: each for name, each in so_far.refused.items() if name != one.domain}
    return Selection(trial, assembled, left)


def _with_bare(so_far: Selection, wanted: Whole, judge: Judge) -> Selection:
    """What was never served is better served without an operator's changes than not at all."""
    for domain, refusal in so_far.refused.items():
        one = wanted.by_domain[domain]
        if domain not in so_far.whole.by_domain and one.overrides != NO_CHANGES:
            bare = _with_one(so_far, Slice(domain, one.files, NO_CHANGES), judge)
            so_far = bare.with_refusal(domain, refusal)
    return so_far


def fall_back(selection: Selection, good: Whole | None, words: str) -> Selection | None:
    """What is served when a proxy refused it with `words`; None where no slice is to blame.

    Only what changed since the last good can be: the domains that the words name, or
    all of them. A domain that never was good is left out, if the words name it.
    """
    before = good.by_domain if good else {}
    suspects = [
        domain for domain, one in selection.whole.by_domain.items() if before.get(domain) != one
    ]
    named = [domain for domain in suspects if _names(words, domain)]
    guilty = named or [domain for domain in suspects if domain in before]
    if not guilty or (len(guilty) == len(selection.whole.by_domain) and not before):
        return None
    whole, refused = selection.whole, dict(selection.refused)
    for domain in guilty:
        refused[domain] = Refusal(whole.by_domain[domain].version, words)
        last = before.get(domain)
        whole = whole.with_slice(last) if last else whole.without(domain)
    try:
        return Selection(whole, slices.assemble(whole), refused)
    except ValueError:
        return None


def _names(words: str, domain: str) -> bool:
    return f"palestra.{domain}." in words or f"-to-{domain}" in words or f"app-{domain}" in words

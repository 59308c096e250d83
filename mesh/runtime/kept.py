"""How long rows are kept: said beside each table, and why they may be.

Owns the words for it. `mesh.runtime.retention` keeps the rules; tests demand one of every
table, and docs/privacy.md tells them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Table

CONTRACT: Final = "contract"
"""To give him the service: GDPR Art. 6(1)(b), 152-FZ Art. 6(1)(5)."""
SECURITY: Final = "safety"
"""To keep accounts safe: GDPR Art. 6(1)(f) and 32, 152-FZ Art. 19."""
LAW: Final = "law"
"""To show that the law was kept: GDPR Art. 5(2) and 6(1)(c), 152-FZ Art. 21."""
_INFO: Final = "kept"


@dataclass(frozen=True, slots=True)
class WithPerson:
    """As long as the account is there; erased with it."""

    why: str


@dataclass(frozen=True, slots=True)
class Always:
    """For good: it is small, or has a bound, and somebody needs it."""

    why: str


@dataclass(frozen=True, slots=True)
class For:
    """So long after the time in a column, and then dropped."""

    time: timedelta
    since: str
    """A column; of rows in which it is NULL no time has begun."""
    why: str
    where: str = ""
    """SQL: of which rows; of all where it is empty."""
    by: str = ""
    """The job that drops them; the runtime's where it is empty."""


Rule = WithPerson | Always | For


def kept(*rules: Rule) -> dict[str, Any]:
    """The `info` of a table that is kept so.

    Raises:
        ValueError: nothing is said, or of everything at once that it stays and that it goes.
    """
    if not rules or (len(rules) > 1 and any(isinstance(each, Always) for each in rules)):
        raise ValueError("a table is kept always, or otherwise")
    return {_INFO: rules}


def rules_of(table: Table) -> tuple[Rule, ...]:
    """How long its rows are kept; empty where nobody said."""
    return tuple(table.info.get(_INFO, ()))

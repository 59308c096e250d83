"""The table in docs/privacy.md: what is kept of people where, how long, why, and what ends it.

    python -m scripts.privacy_table           fails where the document has another
    python -m scripts.privacy_table --write   replaces it

Made from what the services declare: subjects (what is given out and erased), and the rules
beside the tables (how long).
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from mesh import catalog
from mesh.runtime import tables as runtime_tables
from mesh.runtime.kept import Always, For, Rule, WithPerson, rules_of
from mesh.runtime.subjects import Rows, own

DOCUMENT = Path(__file__).parent.parent / "docs" / "privacy.md"
BEGIN, END = "<!-- the table: python -m scripts.privacy_table --write -->", "<!-- its end -->"
_HEAD = (
    "| service | table | kept, and why | given out | erased with the person |",
    "|---|---|---|---|---|",
)
EACH = "each"


def table() -> str:
    """The table, as Markdown."""
    return "\n".join((*_HEAD, *_rows()))


def _rows() -> Iterator[str]:
    for each in catalog.SERVICES:
        service = importlib.import_module(f"services.{each.name}.service").SERVICE
        told = {name: subject for subject in service.subjects for name in subject.tables}
        for _, found in sorted(service.tables.tables.items()):
            yield _row(each.name, found, told, service.impersonal)
    covered: Mapping[str, Any] = dict.fromkeys(own.Traces().tables, own.Traces())
    for name, found in sorted(runtime_tables.METADATA.tables.items()):
        reasons = {name: own.KEPT[name]} if name in own.KEPT else {}
        yield _row(EACH, found, covered, reasons)


def _row(
    service: str, found: Table, subjects: Mapping[str, Any], impersonal: Mapping[str, str]
) -> str:
    name = found.name
    kept = "; ".join(_rule(rule) for rule in rules_of(found))
    if name in impersonal:
        cells = (f"no: {impersonal[name]}", "no")
    elif service == EACH:
        cells = _of_runtime(name)
    else:
        cells = (_given_out(subjects[name]), "yes")
    return f"| {service} | `{name}` | {kept} | {cells[0]} | {cells[1]} |"


def _of_runtime(name: str) -> tuple[str, str]:
    if name == runtime_tables.AUDIT.name:
        return "yes", "no: by an id that names nobody any more"
    return "no: a copy, or what was handled", "yes"


def _given_out(subject: Any) -> str:
    if not isinstance(subject, Rows) or not subject.without:
        return "yes"
    return f"yes, without {', '.join(f'`{each}`' for each in subject.without)}"


def _rule(rule: Rule) -> str:
    if isinstance(rule, WithPerson):
        return f"with the account: {rule.why}"
    if isinstance(rule, Always):
        return f"always: {rule.why}"
    since = f"{_time(rule)} after `{rule.since}`" if rule.time else f"until `{rule.since}`"
    return f"{since}: {rule.why}"


def _time(rule: For) -> str:
    days, rest = divmod(rule.time, timedelta(days=1))
    return f"{days} days" if days and not rest else f"{rule.time.total_seconds() / 3600:g} h"


def written(document: str) -> str:
    """The document with today's table.

    Raises:
        ValueError: it has no place for it.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} has no place for the table")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares, or replaces."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--write", action="store_true", help="replace the table")
    document = DOCUMENT.read_text(encoding="utf-8")
    wanted = written(document)
    if parser.parse_args(arguments).write:
        DOCUMENT.write_text(wanted, encoding="utf-8")
    elif document != wanted:
        print("docs/privacy.md is stale: python -m scripts.privacy_table --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

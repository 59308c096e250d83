"""Statements are compiled when they are used first; here all are."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, column, insert, select, table, union_all

from mesh import catalog
from mesh.runtime.sql import Statement
from tests.support.statements import statements_of

VERBS = (b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"WITH")
_T = table("t", column("a"), column("b"))


@pytest.mark.parametrize("service", [each.name for each in catalog.SERVICES])
def test_every_statement_of_a_service_can_be_compiled(service: str) -> None:
    statements = dict(statements_of(service))
    assert any(name.startswith(f"services.{service}.") for name in statements)
    for name, each in statements.items():
        assert each.text.split()[0] in VERBS, name


def test_a_statement_is_compiled_once_and_completes_its_parameters() -> None:
    statement = Statement(_T.select().where(_T.c.a == bindparam("a"), _T.c.b == "100 % o'clock"))
    assert statement.text is statement.text
    assert statement.text.endswith(b"t.b = '100 %% o''clock'::VARCHAR")
    assert statement.parameters({"a": 1}) == {"a": 1}
    assert statement.reads
    with pytest.raises(AttributeError, match="texts"):
        _ = statement.texts


def test_what_changes_something_is_no_read_whatever_it_begins_with() -> None:
    added = insert(_T).values(a=1, b=2).returning(_T.c.a).cte("added")
    for clause, reads in (
        (_T.select(), True),
        (union_all(_T.select(), _T.select()), True),
        (select(added.c.a), False),
        (select(_T.c.a).add_cte(added), False),
        (_T.update().values(a=1), False),
    ):
        assert Statement(clause).reads is reads

"""Statements are compiled when they are used first; here all are."""

from __future__ import annotations

import pytest
from sqlalchemy import BindParameter, bindparam, column, insert, select, table, union_all

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
        assert each.query.split()[0] in VERBS, name


def test_a_statement_is_compiled_once_and_completes_its_parameters() -> None:
    statement = Statement(_T.select().where(_T.c.a == bindparam("a"), _T.c.b == "100 % o'clock"))
    assert statement.query is statement.query
    assert statement.query.endswith(b"t.a = $1 AND t.b = '100 % o''clock'::VARCHAR")
    assert statement.order == ("a",)
    assert statement.parameters({"a": 1}) == {"a": 1}
    assert statement.reads
    with pytest.raises(AttributeError, match="querys"):
        _ = statement.querys


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


def test_a_parameter_that_is_used_twice_has_one_number() -> None:
    one: BindParameter[int] = bindparam("one")
    two: BindParameter[int] = bindparam("two")
    statement = Statement(_T.select().where(_T.c.a == two, _T.c.b > one, _T.c.b < two))
    assert statement.query.endswith(b"t.a = $1 AND t.b > $2 AND t.b < $1")
    assert statement.order == ("two", "one")

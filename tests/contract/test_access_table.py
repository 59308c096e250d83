"""The committed access table is what the contract says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh import policy
from scripts import access_table


def test_the_committed_table_is_the_contracts() -> None:
    found = access_table.difference(
        access_table.TABLE.read_text(), access_table.derive(policy.load())
    )
    assert not found, f"run `python -m scripts.access_table --write` and review:\n{found}"


def test_a_table_that_differs_is_refused_and_shown_as_a_diff(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stale = tmp_path / "access.txt"
    stale.write_text(access_table.TABLE.read_text().replace("edge  ", "*     ", 1))
    monkeypatch.setattr(access_table, "TABLE", stale)
    monkeypatch.setattr("sys.argv", ["access_table"])
    with pytest.raises(SystemExit) as ended:
        access_table.main()
    shown = capsys.readouterr().out.splitlines()
    assert ended.value.code == 1
    assert [line[:8] for line in shown if line.startswith(("-", "+"))][2:] == [
        "-palestr",
        "+palestr",
    ]


def test_each_method_has_a_line_of_all_columns_in_order_of_name() -> None:
    lines = [
        line.split()
        for line in access_table.TABLE.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == ["method", *access_table.COLUMNS, "callers", "scope"]
    methods = [line[0] for line in lines[1:]]
    assert methods == sorted(path.removeprefix("/") for path in policy.load().methods)
    assert {len(line) for line in lines} == {len(lines[0])}

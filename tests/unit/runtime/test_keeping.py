"""What is kept is given back whole, under its own key, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mesh import keeping


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "__pycache__" / "kept"


def test_it_is_given_back_under_its_key_alone(path: Path) -> None:
    assert keeping.read(path, b"a key") is None
    keeping.write(path, b"a key", b"content")
    assert keeping.read(path, b"a key") == b"content"
    assert keeping.read(path, b"another") is None
    keeping.write(path, b"another", b"")
    assert keeping.read(path, b"another") == b""
    assert [each.name for each in path.parent.iterdir()] == ["kept"]


def test_what_was_cut_or_changed_counts_as_none(path: Path) -> None:
    keeping.write(path, b"a key", b"content")
    whole = path.read_bytes()
    for damaged in (b"", whole[:10], whole[:-1], whole[:-1] + b"?", b"????" + whole[4:]):
        path.write_bytes(damaged)
        assert keeping.read(path, b"a key") is None


def test_where_nothing_can_be_written_nothing_happens(tmp_path: Path, path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keeping.write(tmp_path / "file" / "kept", b"a key", b"content")
    path.mkdir(parents=True)
    keeping.write(path, b"a key", b"content")
    assert keeping.read(path, b"a key") is None
    assert [each.name for each in path.parent.iterdir()] == ["kept"]


def test_who_wants_no_bytecode_gets_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keeping.write(path, b"a key", b"content")
    assert not path.parent.exists()

"""`palestra logs`: which logs, and what comes after a cut."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from mesh.local import follow, places
from mesh.local.errors import StackError


def test_a_name_means_a_service_or_one_of_its_processes(tmp_path: Path) -> None:
    where = places.prepare(tmp_path / "s")
    for name in ("training-0", "training-1", "edge"):
        where.log(name).touch()
    assert follow.chosen(where, "training") == [where.log("training-0"), where.log("training-1")]
    assert follow.chosen(where, "training-1") == [where.log("training-1")]
    assert follow.chosen(where, "edge") == [where.log("edge")]
    with pytest.raises(StackError, match="there are edge, training-0, training-1"):
        follow.chosen(where, "train")


def test_following_gives_whole_lines_only_and_survives_a_cut(tmp_path: Path) -> None:
    log = tmp_path / "edge.log"
    log.write_text("one\ntwo\n")
    shown = follow.lines([log], 1, follow=True)
    assert next(shown) == "two"
    with log.open("a") as file:
        file.write("three\nfo")
    assert next(shown) == "three"
    with log.open("a") as file:
        file.write("ur\n")
    assert next(shown) == "four"
    log.write_text("new\n")
    assert list(islice(shown, 1)) == ["new"]

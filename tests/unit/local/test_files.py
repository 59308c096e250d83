"""The limit of open files: raised as far as the user may, told where that is not far."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mesh.local import files

_SHOW = (
    "import resource; from mesh.local import files; told = files.raise_limit(); "
    "print(told, *resource.getrlimit(resource.RLIMIT_NOFILE))"
)


@pytest.mark.parametrize(("soft", "hard"), [(128, 512), (512, 512)])
def test_a_process_and_its_children_get_what_the_user_may_have(soft: int, hard: int) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
    told = subprocess.run(
        (sys.executable, "-c", limited + _SHOW), check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == [str(hard)] * 3


def test_a_low_limit_is_told_with_what_it_means_and_a_way_out() -> None:
    told = files.words(1024)
    assert "1024 files" in told
    assert "448 watchers" in told
    assert "ulimit" in told


def test_a_limit_that_is_enough_is_not_mentioned() -> None:
    assert files.words(files.FEW) == ""

"""A toolchain that is not there is told from a client that does not build."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway import downloads
from scripts import protos
from tests.polyglot.languages import BUILDERS, HERE, BuildError, NotThereError

ASKS = {"go": "mod download", "java": "process-classes", "ts": "ci"}
TOOLS = {"go": ("go",), "java": ("mvn", "java", "javac"), "ts": ("npm", "node")}
SILENT = {
    "go": "dial tcp: lookup proxy.example: no such host",
    "java": "Could not transfer artifact a:b:pom:1 from/to central",
    "ts": "npm error code ENOTFOUND",
}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that tools are found in; empty."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a client is built, with the archive in it."""
    made = tmp_path / "client"
    made.mkdir()
    (made / downloads.ZIP).write_bytes((protos.GENERATED / downloads.ZIP).read_bytes())
    return made


def fails(tools: Path, language: str, words: str, at: str = "") -> None:
    """Tools that do nothing, and with arguments that hold `at` say this and fail."""
    for name in TOOLS[language]:
        script = f'#!/bin/sh\ncase "$*" in *"{at}"*) echo "{words}" >&2; exit 1;; esac\n'
        (tools / name).write_text(script)
        (tools / name).chmod(stat.S_IRWXU)


@pytest.mark.parametrize("language", sorted(BUILDERS))
def test_without_its_tools_a_language_is_not_there(
    language: str, tools: Path, folder: Path
) -> None:
    with pytest.raises(NotThereError, match="there is no"):
        BUILDERS[language](folder)
    assert not list(tools.iterdir())


@pytest.mark.parametrize("language", sorted(BUILDERS))
def test_without_its_registry_a_language_is_not_there(
    language: str, tools: Path, folder: Path
) -> None:
    fails(tools, language, SILENT[language], ASKS[language])
    with pytest.raises(NotThereError, match=SILENT[language][:12]):
        BUILDERS[language](folder)


@pytest.mark.parametrize("language", sorted(BUILDERS))
@pytest.mark.parametrize(
    "words", ["404 Not Found", "Could not find artifact", "cannot find symbol"]
)
def test_what_is_wrong_with_a_client_is_a_failure(
    language: str, words: str, tools: Path, folder: Path
) -> None:
    fails(tools, language, words, ASKS[language])
    with pytest.raises(BuildError, match=words):
        BUILDERS[language](folder)


def test_a_compiler_that_speaks_of_the_network_is_a_failure_all_the_same(
    tools: Path, folder: Path
) -> None:
    fails(tools, "go", SILENT["go"], "install tool")
    with pytest.raises(BuildError, match="dial tcp"):
        BUILDERS["go"](folder)


def test_what_is_kept_names_no_registry() -> None:
    lock = (HERE / "ts" / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert "resolved" not in lock
    assert "://" not in lock

"""Lints the built OpenAPI document with Spectral and Redocly, as others would.

Owns their versions and rules. They are Node's: where there is no npx, or no registry that
has them, that is said, and nothing is checked.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from gateway.downloads import DOCUMENT
from scripts import protos

RULES = Path(__file__).parent
TIMEOUT_S = 240


@dataclass(frozen=True, slots=True)
class Linter:
    """A linter of npm's."""

    package: str
    arguments: tuple[str, ...]
    """What follows `lint DOCUMENT`."""


LINTERS = (
    Linter(
        "@stoplight/spectral-cli@6.16.3",
        ("--ruleset", str(RULES / "spectral.yaml"), "--fail-severity", "hint"),
    ),
    Linter("@redocly/cli@2.77.0", ("--config", str(RULES / "redocly.yaml"))),
)


class NotThereError(Exception):
    """A linter cannot be had here; the words say why."""


def lint(linter: Linter, document: Path = protos.GENERATED / DOCUMENT) -> tuple[bool, str]:
    """Whether the document is clean, and what the linter says.

    Raises:
        NotThereError: there is no npx, or it cannot get the linter.
    """
    npx = which("npx")
    if npx is None:
        raise NotThereError("there is no npx")
    with tempfile.TemporaryDirectory(prefix="palestra-") as folder:
        # In a folder of its own: a linter is not to find settings of somebody else's.
        done = subprocess.run(
            [npx, "--yes", linter.package, "lint", str(document), *linter.arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if "npm error" in done.stderr:
        raise NotThereError(f"npx cannot get {linter.package}: {done.stderr[-300:]}")
    return done.returncode == 0, done.stdout + done.stderr

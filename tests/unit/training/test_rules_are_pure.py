"""The rules import the standard library, numerics and each other, and nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TRAINING = ROOT / "services" / "training"
ALLOWED = frozenset(sys.stdlib_module_names) | {"numpy", "zstandard"}
FILES = sorted({*TRAINING.glob("*/rules/*.py"), *TRAINING.glob("*/rules.py")})


def foreign_imports(source: str) -> list[str]:
    """What a rules module may not import."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
    return [name for name in names if not _is_allowed(name)]


def _is_allowed(name: str) -> bool:
    parts = name.split(".")
    own = parts[:2] == ["services", "training"] and parts[3:4] == ["rules"]
    return own or parts[0] in ALLOWED


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TRAINING)))
def test_a_rules_module_imports_nothing_foreign(path: Path) -> None:
    assert foreign_imports(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import grpc",
        "from google.protobuf import message",
        "import palestra.training.v1.sport_pb2",
        "from sqlalchemy import select",
        "import numpy, orjson",
        "from services.training.samples import json_streams",
        "from services.identity.auth.rules import x",
        "from . import encoding",
    ],
)
def test_a_planted_import_is_found(line: str) -> None:
    assert foreign_imports(f"def f() -> None:\n    {line}\n") != []


def test_there_are_rules_to_look_at() -> None:
    assert len(FILES) >= 20


def test_importing_all_rules_loads_neither_grpc_nor_a_store() -> None:
    modules = [str(p.relative_to(ROOT).with_suffix("")).replace("/", ".") for p in FILES]
    loaded = "{'grpc', 'google', 'palestra', 'sqlalchemy', 'redis', 'mesh', 'orjson'}"
    script = f"import sys, {', '.join(modules)}\nassert not {loaded} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)

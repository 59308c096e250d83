"""Error reasons: each has a meaning, and what the rules raise is one of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor import EnumDescriptor, FileDescriptor

from palestra.mesh.v1 import policy_pb2
from scripts.contract_checks import Finding

_ENUM = "ErrorReason"
_PREFIX = "ERROR_REASON_"


def of_files(files: list[FileDescriptor]) -> dict[str, frozenset[str]]:
    """The reasons of each package, without their prefix."""
    return {
        file.package: frozenset(value.name.removeprefix(_PREFIX) for value in enum.values[1:])
        for file in files
        if (enum := file.enum_types_by_name.get(_ENUM)) is not None
    }


def check(file: FileDescriptor) -> Iterator[Finding]:
    """What is wrong with the meanings of a file's reasons."""
    enum = file.enum_types_by_name.get(_ENUM)
    if enum is None:
        return
    for value in enum.values:
        if value.number:
            for message in _meaning(enum, value.name):
                yield Finding(file.name, f"{_ENUM}.{value.name}", message)


def _meaning(enum: EnumDescriptor, name: str) -> Iterator[str]:
    options = enum.values_by_name[name].GetOptions()
    if not options.HasExtension(policy_pb2.error):
        yield "the reason has no meaning"
        return
    meaning = options.Extensions[policy_pb2.error]
    if not meaning.code:
        yield "the reason's code is OK"
    for language in ("en", "ru"):
        if not getattr(meaning, language).strip():
            yield f"the reason has no words in {language!r}"


def raised(services: Path, known: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """Classes in the services' rules whose `reason` is none of their contract's.

    The sources are read, not imported.
    """
    mesh = known.get("palestra.mesh.v1", frozenset())
    for path in sorted({*services.rglob("rules.py"), *services.rglob("rules/**/*.py")}):
        service = path.relative_to(services).parts[0]
        wanted = known.get(f"palestra.{service}.v1", frozenset()) | mesh
        shown = path.relative_to(services.parent).as_posix()
        for name, reason in _class_reasons(path):
            if reason is None:
                yield Finding(shown, name, "its reason is not a literal string")
            elif reason not in wanted:
                yield Finding(shown, name, f"neither its contract nor the mesh's has {reason!r}")


def _class_reasons(path: Path) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                value = _assigned_reason(statement)
                if value is not None:
                    literal = value.value if isinstance(value, ast.Constant) else None
                    yield node.name, literal if isinstance(literal, str) else None


def _assigned_reason(statement: ast.stmt) -> ast.expr | None:
    """What a class's body assigns to `reason`; None where it only declares it, or not even that."""
    if isinstance(statement, ast.AnnAssign):
        targets: list[ast.expr] = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return None
    named = any(isinstance(target, ast.Name) and target.id == "reason" for target in targets)
    return statement.value if named else None

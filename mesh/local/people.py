"""Sign-ins of people that a developer tries a stack with, one file each in the state folder.

Decides where they lie and which edge is meant. Knows no command and no method.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mesh.local.errors import StackError
from mesh.local.places import Places, read_json
from palestra_client import FileTokenStore, Palestra, Prove

# Hidden: a state folder that is not there yet may still become one.
_FOLDER = ".people"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Edge:
    """Where calls go."""

    target: str
    ca: bytes | None = None


def edge(state: Path, target: str, ca: Path | None) -> Edge:
    """The edge that was named, or that of the running stack.

    Raises:
        StackError: none was named and no stack runs, or the CA cannot be read.
    """
    told: dict[str, object] = {}
    if not target:
        told = read_json(Places(state).stack) or {}
        target = str(told.get("grpc_target", ""))
        if not target:
            raise StackError(f"no stack is running in {state}; start one, or name a --target.")
    authority = ca or (Path(str(told["ca"])) if "ca" in told else None)
    try:
        return Edge(target, authority.read_bytes() if authority else None)
    except OSError as error:
        raise StackError(f"--ca {authority}: {error.strerror}.") from None


def path(state: Path, name: str) -> Path:
    """Where the sign-in of that name is kept.

    Raises:
        StackError: it is no name.
    """
    if not _NAME.fullmatch(name):
        raise StackError(f"--as {name}: give up to 32 of a-z, 0-9, - and _.")
    return state / _FOLDER / f"{name}.json"


def names(state: Path) -> list[str]:
    """Who has a sign-in, sorted."""
    found = (each.stem for each in (state / _FOLDER).glob("*.json"))
    return sorted(name for name in found if _NAME.fullmatch(name))


def client(where: Edge, file: Path, prove: Prove | None) -> Palestra:
    """A client for one of them; made inside the running loop."""
    return Palestra(where.target, store=FileTokenStore(file), prove=prove, ca=where.ca)

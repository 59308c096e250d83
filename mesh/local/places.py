"""The state folder: where everything of one stack lies, and whether it may be used.

Decides names and modes. Refuses a folder that is not ours, is of another version,
belongs to another user, or is too deep for unix sockets. Never deletes data.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.local.errors import StackError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

FORMAT = 1
"""Version of the state folder's layout."""

SOCKET_PATH_BYTES = 107
"""What sockaddr_un and gRPC allow."""

_MARK = "palestra-state.json"


def write_json(path: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replaces a file at once: readers see the old whole or the new whole.

    `durable` is for what cannot be made again after a power cut.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.rename(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is no file or no object in it."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


@dataclass(frozen=True, slots=True)
class Places:
    """Every path of one stack, derived from its state folder (absolute)."""

    state: Path

    @property
    def run(self) -> Path:
        """All sockets but PostgreSQL's."""
        return self.state / "run"

    @property
    def mesh(self) -> Path:
        """What the supervisor and the control plane tell each other."""
        return self.state / "mesh"

    @property
    def logs(self) -> Path:
        """One bounded log per process."""
        return self.state / "logs"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data and socket; belongs to the user that it runs as."""
        return self.state / "pg"

    @property
    def redis(self) -> Path:
        """Redis's data and settings."""
        return self.state / "redis"

    @property
    def stack(self) -> Path:
        """What runs, as the supervisor last wrote it."""
        return self.state / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor while it lives."""
        return self.state / "lock"

    @property
    def endpoints(self) -> Path:
        """Which workers get traffic, for the control plane."""
        return self.mesh / "endpoints.json"

    @property
    def traffic(self) -> Path:
        """What the operator asks of calls: other ways, and faults on purpose."""
        return self.mesh / "traffic.json"

    @property
    def control(self) -> Path:
        """What the control plane says of itself and of the proxies."""
        return self.mesh / "control.json"

    @property
    def proof(self) -> Path:
        """The secret by which workers know that a call came through the mesh."""
        return self.mesh / "proof"

    @property
    def blobs(self) -> Path:
        """Files of people: those that are whole, and those on their way."""
        return self.state / "blobs"

    @property
    def blob_keys(self) -> Path:
        """The keys that sign links to files; made by who first needs them."""
        return self.mesh / "blob-keys.json"

    def seal_keys(self, service: str) -> Path:
        """The keys that seal what a service keeps secret in its rows; made with the passwords."""
        return self.state / "seals" / f"{service}.json"

    @property
    def mail(self) -> Path:
        """Letters to people, which nothing carries further on one machine."""
        return self.state / "mail"

    @property
    def site_ca(self) -> Path:
        """What clients trust where the edge serves TLS."""
        return self.mesh / "site.pem"

    @property
    def commands(self) -> Path:
        """Where the supervisor takes commands."""
        return self.run / "up.sock"

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process}.log"


def _refuse_foreign(state: Path) -> None:
    """Looks before anything is written: an existing folder must be ours."""
    if not state.is_dir():
        raise StackError(f"{state} is not a folder; choose another --state.")
    owner = state.stat().st_uid
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"user {owner}"
        raise StackError(f"{state} belongs to {name}; run as {name} or choose another --state.")
    content = sorted(entry.name for entry in state.iterdir() if not entry.name.startswith("."))
    if not content:
        return
    mark = read_json(state / _MARK)
    if mark is None:
        raise StackError(
            f"{state} is not a state folder of Palestra (it holds {content[0]}); "
            "choose another --state, or move it away."
        )
    if mark.get("format") != FORMAT:
        raise StackError(
            f"{state} was made by another version of Palestra (format {mark.get('format')}, "
            f"this one has {FORMAT}); choose another --state, or move it away."
        )


def refuse_long_sockets(sockets: Iterable[Path]) -> None:
    """Raises StackError where a socket's path is longer than the system allows."""
    longest = max(sockets, key=lambda path: len(os.fsencode(path)))
    size = len(os.fsencode(longest))
    if size > SOCKET_PATH_BYTES:
        raise StackError(
            f"the socket path {longest} has {size} bytes, {SOCKET_PATH_BYTES} are possible; "
            f"choose a --state that is {size - SOCKET_PATH_BYTES} bytes shorter."
        )


def clear_sockets(folder: Path) -> None:
    """Removes the sockets that an earlier, ended stack left behind."""
    for entry in folder.iterdir():
        if entry.is_socket():
            entry.unlink()
        elif not entry.is_dir():
            raise StackError(f"{entry} is not a socket, so it is not ours; move it away.")


def prepare(state: Path) -> Places:
    """Makes the state folder, or checks the one that is there.

    Raises:
        StackError: it cannot or must not be used.
    """
    places = Places(state)
    try:
        if state.exists() or state.is_symlink():
            _refuse_foreign(state)
        else:
            # Root's PostgreSQL runs as another user, which must reach its own folder.
            state.mkdir(parents=True, mode=0o700 if os.geteuid() else 0o711)
        if not (state / _MARK).exists():
            write_json(state / _MARK, {"format": FORMAT})
        for folder in (places.run, places.mesh, places.logs, places.blobs, places.mail):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StackError(
            f"cannot use {error.filename or state}: {error.strerror}; choose another --state."
        ) from error
    return places

"""One machine's PostgreSQL: making its data folder, starting it, clearing what a crash left.

Decides its settings and as whom it runs. fsync stays on. Never removes data; roles
and schemas are `provision`'s.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mesh.local import binaries, probes, procfs, spawn
from mesh.local.credentials import ADMIN
from mesh.local.errors import StackError
from mesh.local.places import Places
from mesh.local.spec import Account, Spec, Stage

VERSION = "18"
SOCKET = ".s.PGSQL.5432"
"""The socket's name, which PostgreSQL derives from its port number."""
NOBODY = 65534
"""Whom root's PostgreSQL runs as: it refuses to be root itself."""

_SETPCAP, _READ_SEARCH, _OVERRIDE = 8, 2, 1
_INITDB_S = 120


def _closed_to_others(paths: Iterable[Path]) -> Path | None:
    """The first folder on the way to the paths that another user may not enter."""
    for path in paths:
        for folder in reversed(path.parents):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                return folder
    return None


def _held(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("CapPrm:"))
    return bool(int(line.split()[1], 16) >> capability & 1)


def account(places: Places, program: Path) -> Account:
    """As whom PostgreSQL runs: oneself, or, where that is root, nobody.

    Where nobody could not reach the folders (a checkout below /root), it keeps the
    one capability to pass through them.

    Raises:
        StackError: nobody cannot be given that.
    """
    if os.geteuid() != 0:
        return Account()
    closed = _closed_to_others([program, places.postgres])
    runnable = bool(program.stat().st_mode & 0o001)
    if closed is None and runnable:
        return Account(NOBODY)
    for capability in [_READ_SEARCH] * runnable + [_OVERRIDE]:
        if _held(capability) and _held(_SETPCAP):
            return Account(NOBODY, (capability,))
    raise StackError(
        f"PostgreSQL does not run as root, and other users may not enter {closed or program}; "
        "run as an ordinary user, or use a checkout and a --state that others may enter."
    )


def _own(path: Path, account: Account) -> None:
    if account.user is not None:
        os.chown(path, account.user, account.user)


def _initdb(places: Places, account: Account, env: Mapping[str, str], password: str) -> None:
    """Makes the data folder beside its place and moves it there when it is whole."""
    fresh, secret = places.postgres / "data.new", places.postgres / "password"
    _end_remains(fresh)
    shutil.rmtree(fresh, ignore_errors=True)
    descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password)
    _own(secret, account)
    command = [
        str(binaries.postgres("initdb")), f"--pgdata={fresh}",
        f"--username={ADMIN}", f"--pwfile={secret}", "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            spawn.leashed(command, account),
            env=env,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_INITDB_S,
            check=False,
            # A Ctrl-C is the supervisor's to handle, when this is whole.
            start_new_session=True,
        )
    finally:
        secret.unlink()
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise StackError(f"PostgreSQL cannot make its data folder: {' '.join(last)}")
    fresh.rename(places.postgres / "data")


def _end_remains(data: Path) -> None:
    """Ends what a killed postmaster left of itself, and removes its two lock files.

    Only a `postgres` that works inside our data folder can be ours; while one lives,
    a new postmaster must not start. The lock files tell a process id only, which by
    now may be a zombie's or a stranger's.
    """
    for pid in procfs.working_in(data, "postgres"):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    (data / "postmaster.pid").unlink(missing_ok=True)
    (data.parent / f"{SOCKET}.lock").unlink(missing_ok=True)


def _before(
    places: Places, account: Account, env: Mapping[str, str], password: str
) -> Callable[[], None]:
    data = places.postgres / "data"

    def before() -> None:
        places.postgres.mkdir(mode=0o700, exist_ok=True)
        _own(places.postgres, account)
        if not data.exists():
            _initdb(places, account, env, password)
        made_by = (data / "PG_VERSION").read_text().strip()
        if made_by != VERSION:
            raise StackError(
                f"{data} was made by PostgreSQL {made_by}, this is {VERSION}; "
                f"choose another --state, or move {places.state} away."
            )
        owner, wanted = data.stat().st_uid, account.user or os.geteuid()
        if owner != wanted:
            raise StackError(
                f"{data} belongs to user {owner}, PostgreSQL would run as user {wanted}; "
                "choose another --state."
            )
        _end_remains(data)

    return before


def settings(socket_folder: Path, connections: int) -> dict[str, str]:
    """What differs from PostgreSQL's own defaults."""
    quoted = str(socket_folder).replace('"', '""')
    return {
        "listen_addresses": "",
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": str(connections),
        "fsync": "on",
        "shared_buffers": "64MB",
        "max_wal_size": "512MB",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %q%u ",
    }


def spec(
    places: Places,
    env: Mapping[str, str],
    password: str,
    connections: int,
    once: Callable[[], None],
) -> Spec:
    """PostgreSQL as a process; `once` is done when it is ready for the first time."""
    program = binaries.postgres("postgres")
    runs_as = account(places, program)
    data = places.postgres / "data"
    options = settings(places.postgres, connections)
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return Spec(
        name="postgres",
        stage=Stage.STORES,
        argv=(str(program), "-D", str(data), *arguments),
        env=env,
        probe=probes.postgres(data),
        sockets=(places.postgres / SOCKET,),
        before=_before(places, runs_as, env, password),
        once=once,
        account=runs_as,
        # Fast shutdown; and at the supervisor's death an immediate one, which ends
        # the backends at once and loses nothing that was committed.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        start_s=60.0,
    )

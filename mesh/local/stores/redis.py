"""One machine's Redis: streams, cache, limits. Decides its settings and who may touch which keys.

A service owns the keys and channels `<service>:*` and publishes to the streams
`events:<service>` and `events:<service>:*`; it may consume every `events:*` stream.
What only counts owns the keys `<name>:*`, and may do with them what counting needs.
An acknowledged write is on disk. Never evicts: a full store refuses, visibly.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mesh.local import binaries, probes
from mesh.local.credentials import ADMIN
from mesh.local.places import Places
from mesh.local.spec import Spec, Stage

MEMORY_MB = 512

_SETTINGS = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {data}
aclfile {acl}
daemonize no
set-proc-title no
appendonly yes
appendfsync always
save ""
maxmemory {memory}mb
maxmemory-policy noeviction
"""

_CONSUME = (
    "+xreadgroup +xread +xack +xautoclaim +xclaim +xgroup +xinfo +xpending "
    "+xrange +xrevrange +xlen +exists +type"
)


def _user(service: str, password: str) -> str:
    return (
        f"user {service} on >{password} resetkeys resetchannels -@all "
        f"~{service}:* ~events:{service} ~events:{service}:* &{service}:* "
        "+@all -@admin -@dangerous +info "
        f"(~events:* {_CONSUME})"
    )


def _counter(name: str, password: str) -> str:
    return (
        f"user {name} on >{password} resetkeys resetchannels -@all ~{name}:* "
        "+evalsha +script|load +get +set +pttl +exists +rename +incrby "
        "+auth +hello +ping +client|setinfo +client|setname"
    )


def users(
    passwords: Mapping[str, str], services: Iterable[str], counters: Iterable[str] = ()
) -> str:
    """The whole access list, in Redis's own language; `counters` may count, and no more."""
    # Nobody can be `default`, for it is off. But the append-only file is loaded as it, and
    # Redis 8 checks it again at each EXEC: without rights, every transaction would be lost.
    lines = ["user default off resetpass allkeys allchannels allcommands"]
    lines.append(f"user {ADMIN} on >{passwords[ADMIN]} ~* &* +@all")
    lines += [_user(service, passwords[service]) for service in services]
    lines += [_counter(name, passwords[name]) for name in counters]
    return "\n".join(lines) + "\n"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def spec(
    places: Places,
    env: Mapping[str, str],
    passwords: Mapping[str, str],
    services: Iterable[str],
    counters: Iterable[str] = (),
) -> Spec:
    """Redis as a process. Each start applies the services of today to the data of before."""
    names, counting = tuple(services), tuple(counters)
    socket = places.run / "redis.sock"
    settings, acl = places.redis / "redis.conf", places.redis / "users.acl"

    def before() -> None:
        places.redis.mkdir(mode=0o700, exist_ok=True)
        _write_private(acl, users(passwords, names, counting))
        content = _SETTINGS.format(
            socket=_quoted(socket),
            data=_quoted(places.redis),
            acl=_quoted(acl),
            memory=MEMORY_MB,
        )
        _write_private(settings, content)

    return Spec(
        name="redis",
        stage=Stage.STORES,
        argv=(str(binaries.redis()), str(settings)),
        env=env,
        probe=probes.redis(socket, ADMIN, passwords[ADMIN]),
        sockets=(socket,),
        before=before,
    )

"""The process table of a whole stack, derived from the catalogue.

Decides commands, environments, sockets and readiness of every process. Starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway import origins
from mesh import catalog
from mesh.local import binaries, health, probes, workers
from mesh.local.credentials import ADMIN, Credentials
from mesh.local.errors import StackError
from mesh.local.places import ROOT, Places, write_json
from mesh.local.spec import Spec, Stage
from mesh.local.stores import database, postgres, redis
from mesh.local.workers import CONTRACT, SAME, Copy

HOST = "127.0.0.1"
PORT = 8080
STATE = ROOT / ".palestra"
MOST_WORKERS = 16
MOST_HOPS = 8
TLS = ("1.3", "1.2")

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the keyboard chooses."""

    state: Path = STATE
    port: int = PORT
    workers: Mapping[str, int] = field(default_factory=dict)
    """Instead of the catalogue's numbers; parts of the edge as well."""
    log_level: str = "INFO"
    origins: str = "*"
    """Whose pages may use the edge from a browser; see `gateway.origins`."""
    direct_port: int = 0
    """The first port of loopback for gRPC clients that speak xDS themselves; 0 for none."""
    tls: str = ""
    """The oldest TLS that the edge serves, `1.3` or `1.2`; empty for no TLS."""
    trusted_hops: int = 0
    """Proxies before the edge, of one's own, that say who called."""
    blobs: str = ""
    """Where files of people lie, `s3://bucket/prefix`; in the state folder where it is empty."""
    scan: str = ""
    """Who is asked about each upload; see `gateway.web.blobs.scanning`."""
    traces: str = ""
    """Where services send their spans by OTLP/HTTP; nowhere where it is empty."""
    pass_unscanned: bool = False
    """Whether files pass while the scanner does not answer."""
    identity: Mapping[str, str] = field(default_factory=dict)
    """What identity is told beside: its settings PALESTRA_IDENTITY_…, by their names."""

    @property
    def rest_url(self) -> str:
        """Where REST is."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    @property
    def named_url(self) -> str:
        """The same by a name: browsers bind passkeys to nothing else."""
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def all_workers(self) -> dict[str, int]:
        """Processes per service."""
        return {each.name: self.workers.get(each.name, each.workers) for each in catalog.SERVICES}

    def all_parts(self) -> dict[str, int]:
        """Processes per part of the edge."""
        return {each.name: self.workers.get(each.name, each.workers) for each in catalog.PARTS}


def check(options: Options) -> None:
    """Raises StackError where an option cannot be meant."""
    known = set(catalog.DEPLOYED)
    for service, number in options.workers.items():
        if service not in known:
            raise StackError(f"no service {service!r}; there are {', '.join(sorted(known))}.")
        if not 1 <= number <= MOST_WORKERS:
            raise StackError(f"--workers {service}={number}: give 1 to {MOST_WORKERS}.")
    try:
        origins.parse(options.origins)
    except origins.OriginError as error:
        raise StackError(f"--origin: {error}.") from None
    if options.tls not in ("", *TLS):
        raise StackError(f"--tls-min {options.tls}: give {' or '.join(TLS)}.")
    if not 0 <= options.trusted_hops <= MOST_HOPS:
        raise StackError(f"--trusted-hops {options.trusted_hops}: give 0 to {MOST_HOPS}.")
    if not 0 <= options.direct_port <= 65535 - len(catalog.SERVICES):
        raise StackError(f"--direct-port {options.direct_port}: give a lower port.")
    if not 1 <= options.port <= 65535:
        raise StackError(f"--port {options.port}: give 1 to 65535.")


def facts(options: Options) -> dict[str, str | int]:
    """What a client needs to know of the running stack."""
    told: dict[str, str | int] = {
        "host": HOST,
        "port": options.port,
        "rest_url": options.rest_url,
        "grpc_target": f"{HOST}:{options.port}",
        "blobs_scan": options.scan or "none",
    }
    return told | ({"ca": str(Places(options.state).site_ca)} if options.tls else {})


def base_environment() -> dict[str, str]:
    """What every child gets: nothing of the caller's that could configure it by accident."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return env | {"PYTHONUNBUFFERED": "1"}


def table(options: Options, places: Places, credentials: Credentials) -> tuple[Spec, ...]:
    """Every process of the stack, in order of start.

    Raises:
        StackError: a program is missing, or cannot run here.
    """
    env = base_environment()
    numbers = options.all_workers()
    counters = [part.name for part in catalog.PARTS if part.counts]
    return (
        _postgres(places, env, credentials, numbers),
        redis.spec(places, env, credentials.redis, numbers, counters),
        _control(options, places, env),
        *_proxies(options, places, env),
        *(
            one_more(options, places, credentials, group, number)
            for group, count in (numbers | options.all_parts()).items()
            for number in range(count)
        ),
    )


def one_more(
    options: Options,
    places: Places,
    credentials: Credentials,
    group: str,
    number: int,
    copy: Copy = SAME,
) -> Spec:
    """A process of a service, of a subset of its workers (`training:canary`) or of a part.

    Raises:
        StackError: there is no such service.
    """
    env = base_environment()
    for part in catalog.PARTS:
        if part.name == group:
            return workers.part(options, places, env, credentials, part, number)
    service, _, subset = group.partition(":")
    if service not in options.all_workers():
        raise StackError(f"no service {service!r}; there are {', '.join(options.all_workers())}.")
    return workers.worker(options, places, env, credentials, service, number, subset, copy)


def _postgres(
    places: Places, env: Mapping[str, str], credentials: Credentials, workers: Mapping[str, int]
) -> Spec:
    def once() -> None:
        # Who starts a stack only: psycopg is a quarter of what any other command takes.
        from mesh.local.stores import provision

        provision.apply(places.postgres, credentials.postgres, workers)

    password = credentials.postgres[ADMIN]
    connections = database.max_connections(workers)
    return postgres.spec(places, env, password, connections, once)


def _control(options: Options, places: Places, env: Mapping[str, str]) -> Spec:
    def before() -> None:
        # Its report of an earlier run must not pass for this one's.
        places.control.unlink(missing_ok=True)

    xds = places.run / "xds.sock"
    return Spec(
        name=catalog.CONTROL,
        stage=Stage.CONTROL,
        argv=(sys.executable, "-m", "mesh.control"),
        env={
            **env,
            "PALESTRA_STATE": str(places.state),
            "PALESTRA_EDGE_HOST": HOST,
            "PALESTRA_EDGE_PORT": str(options.port),
            "PALESTRA_CONTRACT": str(CONTRACT),
            "PALESTRA_LOG_LEVEL": options.log_level,
            "PALESTRA_WEB_ORIGINS": options.origins,
            "PALESTRA_EDGE_TLS": options.tls,
            "PALESTRA_TRUSTED_HOPS": str(options.trusted_hops),
            "PALESTRA_DIRECT_PORT": str(options.direct_port),
        },
        cwd=ROOT,
        probe=health.answers(xds),
        sockets=(xds,),
        before=before,
    )


def _proxies(options: Options, places: Places, env: Mapping[str, str]) -> tuple[Spec, Spec]:
    from mesh.control import bootstrap

    services = [each.name for each in catalog.SERVICES]
    listeners = tuple(
        places.run / f"{service}.{side}.sock" for service in services for side in ("in", "out")
    )
    edge = bootstrap.edge_bootstrap(places.state, HOST, options.port)
    node = bootstrap.node_bootstrap(places.state)
    return (
        _envoy(places, env, "node", node, listeners),
        _envoy(places, env, catalog.EDGE, edge, (places.run / f"{catalog.EDGE}.out.sock",)),
    )


def _envoy(
    places: Places,
    env: Mapping[str, str],
    name: str,
    config: Mapping[str, object],
    listeners: tuple[Path, ...],
) -> Spec:
    from mesh.control import bootstrap

    path, admin = places.mesh / f"{name}.json", places.run / f"{name}.admin.sock"
    return Spec(
        name=name,
        stage=Stage.PROXIES,
        argv=(
            *(str(binaries.envoy()), "-c", str(path)),
            *(*bootstrap.ARGUMENTS, "--log-level", "warning"),
        ),
        env=env,
        probe=probes.proxy(admin),
        sockets=(admin, *listeners),
        before=lambda: write_json(path, config),
    )

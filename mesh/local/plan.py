"""The process table of a whole stack, derived from the catalogue.

Decides commands, environments, sockets and readiness of every process. Starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from mesh import catalog
from mesh.local import binaries, health, probes
from mesh.local.credentials import ADMIN, Credentials
from mesh.local.errors import StackError
from mesh.local.places import ROOT, Places, write_json
from mesh.local.spec import Spec, Stage
from mesh.local.stores import postgres, provision, redis

HOST = "127.0.0.1"
PORT = 8080
STATE = ROOT / ".palestra"
MOST_WORKERS = 16
REGION = 0
DRAIN_S = 1
CONTRACT = ROOT / "build" / "gen" / "contract.binpb"

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the keyboard chooses."""

    state: Path = STATE
    port: int = PORT
    workers: Mapping[str, int] = field(default_factory=dict)
    """Instead of the catalogue's numbers."""
    log_level: str = "INFO"

    def all_workers(self) -> dict[str, int]:
        """Processes per service."""
        return {each.name: self.workers.get(each.name, each.workers) for each in catalog.SERVICES}


def check(options: Options) -> None:
    """Raises StackError where an option cannot be meant."""
    known = {each.name for each in catalog.SERVICES}
    for service, number in options.workers.items():
        if service not in known:
            raise StackError(f"no service {service!r}; there are {', '.join(sorted(known))}.")
        if not 1 <= number <= MOST_WORKERS:
            raise StackError(f"--workers {service}={number}: give 1 to {MOST_WORKERS}.")
    if not 1 <= options.port <= 65535:
        raise StackError(f"--port {options.port}: give 1 to 65535.")


def facts(options: Options) -> dict[str, str | int]:
    """What a client needs to know of the running stack."""
    return {
        "host": HOST,
        "port": options.port,
        "rest_url": f"http://{HOST}:{options.port}",
        "grpc_target": f"{HOST}:{options.port}",
    }


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
    workers = options.all_workers()
    return (
        _postgres(places, env, credentials, workers),
        redis.spec(places, env, credentials.redis, workers),
        _control(options, places, env),
        *_proxies(options, places, env),
        *(
            _worker(options, places, env, credentials, service, number)
            for service, count in workers.items()
            for number in range(count)
        ),
    )


def _postgres(
    places: Places, env: Mapping[str, str], credentials: Credentials, workers: Mapping[str, int]
) -> Spec:
    def once() -> None:
        provision.apply(places.postgres, credentials.postgres, workers)

    password = credentials.postgres[ADMIN]
    connections = provision.max_connections(workers)
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
        _envoy(places, env, catalog.EDGE, edge, ()),
    )


def _envoy(
    places: Places,
    env: Mapping[str, str],
    name: str,
    config: Mapping[str, object],
    listeners: tuple[Path, ...],
) -> Spec:
    path, admin = places.mesh / f"{name}.json", places.run / f"{name}.admin.sock"
    return Spec(
        name=name,
        stage=Stage.PROXIES,
        # Hot restart would leave a segment in /dev/shm at every kill.
        argv=(
            str(binaries.envoy()),
            *("-c", str(path)),
            "--disable-hot-restart",
            *("--concurrency", "1", "--log-level", "warning"),
        ),
        env=env,
        probe=probes.proxy(admin),
        sockets=(admin, *listeners),
        before=lambda: write_json(path, config),
    )


def _worker(
    options: Options,
    places: Places,
    env: Mapping[str, str],
    credentials: Credentials,
    service: str,
    number: int,
) -> Spec:
    name = f"{service}-{number}"
    listen, metrics = places.run / f"{name}.sock", places.run / f"{name}.prom"
    redis_socket = quote(str(places.run / "redis.sock"))
    return Spec(
        name=name,
        stage=Stage.SERVICES,
        service=service,
        argv=(sys.executable, "-m", catalog.service(service).module),
        env={
            **env,
            "PALESTRA_SERVICE": service,
            "PALESTRA_WORKER": str(number),
            "PALESTRA_LISTEN": f"unix:{listen}",
            "PALESTRA_METRICS": f"unix:{metrics}",
            "PALESTRA_MESH": f"unix:{places.run / f'{service}.out.sock'}",
            "PALESTRA_MESH_PROOF_FILE": str(places.proof),
            "PALESTRA_DATABASE_URL": provision.url(
                places.postgres, service, credentials.postgres[service]
            ),
            "PALESTRA_DATABASE_POOL": str(provision.POOL),
            "PALESTRA_REDIS_URL": (
                f"unix://{service}:{credentials.redis[service]}@{redis_socket}?db=0"
            ),
            "PALESTRA_REGION": str(REGION),
            "PALESTRA_LOG_LEVEL": options.log_level,
            "PALESTRA_DRAIN_S": str(DRAIN_S),
        },
        cwd=ROOT,
        probe=health.worker(listen),
        endpoint=listen,
        sockets=(listen, metrics),
    )

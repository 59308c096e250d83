"""The real stack, all of it, in a short folder of its own, for tests that go through the edge.

Owns its start and end, and a look into its state folder: processes by `stack.json`, the
stores by the operator's own accounts. Kills by the process ids that the supervisor wrote.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from mesh.local import launch, places, plan, view
from mesh.local.credentials import ADMIN
from mesh.local.places import Places, read_json, write_json
from mesh.local.stores import database
from tests.support.local_stack import free_port, until
from tests.support.mesh_stack import failed_scripts
from tests.support.scratch import short_folder
from tests.support.shops import RealShop
from tests.support.span_sink import SpanSink

START_S = 30.0


@dataclass(frozen=True, slots=True)
class WholeStack:
    """A running stack."""

    state: Path
    port: int
    shop: RealShop | None = None
    """Whom people sign in with; None where there is none."""
    spans: SpanSink | None = None
    """Who is sent what services trace; None for nobody."""

    @property
    def rest_url(self) -> str:
        """Where REST is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def target(self) -> str:
        """Where gRPC is."""
        return f"127.0.0.1:{self.port}"

    @property
    def places(self) -> Places:
        """The paths of its state folder."""
        return Places(self.state)

    def status(self) -> dict[str, Any]:
        """What `palestra status --json` prints."""
        content = view.gather(self.state)
        assert content is not None, "the stack does not run"
        return content

    def process(self, name: str) -> dict[str, Any]:
        """One process's row of the status."""
        return next(row for row in self.status()["processes"] if row["name"] == name)

    def names(self, service: str) -> list[str]:
        """The processes of a service."""
        return [row["name"] for row in self.status()["processes"] if row["service"] == service]

    def pids(self) -> dict[str, int]:
        """Every process of the stack, the supervisor included."""
        content = self.status()
        found = {row["name"]: int(row["pid"]) for row in content["processes"] if row["pid"]}
        return found | {"supervisor": int(content["supervisor"])}

    def is_serving(self) -> bool:
        """Whether `palestra status` would say that all is well."""
        content = self.status()
        return view.exit_status(content) == view.SERVING and not content["rejected"]

    def kill(self, name: str) -> int:
        """Kills one process as kill -9 does; gives its number of restarts so far."""
        row = self.process(name)
        os.kill(row["pid"], signal.SIGKILL)
        return int(row["restarts"])

    def recovered(self, name: str, restarts: int, within_s: float) -> float:
        """Waits until the killed process runs anew and all serves; the seconds it took."""
        return until(
            lambda: self.process(name)["restarts"] > restarts and self.is_serving(),
            within_s,
            f"all serves again after {name} was killed",
            self.troubles,
        )

    def troubles(self) -> list[str]:
        """What is not serving and what was refused, in words."""
        content = self.status()
        idle = [each for each in content["processes"] if each["health"] != "SERVING"]
        told = [f"{each['name']} {each['state']} for {each['since_s']} s" for each in idle]
        return told + view.rejections(content)

    def database(self, role: str = ADMIN) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection to PostgreSQL as one of its roles."""
        password = self._passwords("postgres")[role]
        return psycopg.connect(database.url(self.places.postgres, role, password), autocommit=True)

    def redis(self, user: str = ADMIN, *, as_text: bool = True) -> redis.Redis:
        """A connection to Redis as one of its users; answers are bytes unless `as_text`."""
        return redis.Redis(
            unix_socket_path=str(self.places.run / "redis.sock"),
            username=user,
            password=self._passwords("redis")[user],
            decode_responses=as_text,
        )

    def _passwords(self, store: str) -> Mapping[str, str]:
        content = read_json(self.state / "secrets.json") or {}
        passwords: Mapping[str, str] = content[store]
        return passwords

    def logs(self, lines: int = 30) -> str:
        """The end of each log, for a failure's message."""
        found = []
        for path in sorted(self.places.logs.glob("*.log")):
            told = path.read_text(errors="replace").splitlines()[-lines:]
            found.append("\n".join([f"== {path.name}", *told]))
        return "\n".join(found)


@contextmanager
def whole_stack(
    workers: Mapping[str, int],
    overrides: Mapping[str, Any] | None = None,
    direct_port: int = 0,
    scan: str = "",
    shop: RealShop | None = None,
    spans: SpanSink | None = None,
    identity: Mapping[str, str] | None = None,
    *,
    on_disk: bool = False,
) -> Iterator[WholeStack]:
    """A stack of its own, SERVING; ended, and its folder removed, when the block is left.

    `overrides` is what an operator changed of the contract before the start; `scan` who
    looks at what is sent; `spans` who is sent what services trace; `identity` its settings,
    PALESTRA_IDENTITY_…, by their names. It is in memory where there is room, or `on_disk`.
    """
    with short_folder(on_disk=on_disk) as folder:
        options = plan.Options(
            state=folder / "s",
            port=free_port(),
            workers=dict(workers),
            direct_port=direct_port,
            scan=scan,
            traces=spans.url if spans else "",
            identity={**(shop.settings if shop else {}), **(identity or {})},
        )
        if overrides is not None:
            write_json(places.prepare(options.state).mesh / "overrides.json", overrides)
        begun = time.monotonic()
        with launch.attached(options):
            assert time.monotonic() - begun < START_S
            running = WholeStack(options.state, options.port, shop, spans)
            yield running
            wrong = failed_scripts(running.places.logs)
            assert not wrong, wrong[:5]

"""Which scenarios there are, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from tests.load import fan_out, lines, live, peers, relations, requests, sessions, sharing
from tests.load.requests import Load
from tests.load.world import World

READS = "Reading, µs of CPU for a request"
SIGNING = "Signing in, µs of CPU for a request"
SHARED = "Reading another person's, who hides his home, µs of CPU for a request"
VISIBILITY = "Asking identity who sees whose things, µs of CPU for a call"
INGEST = "Live ingest, µs of CPU for a sample of 8 channels"
SESSIONS = "Live sessions, µs of CPU for a batch of 5 samples"
WATCHING = "Watching, µs of CPU for an update to one watcher"
PEERS = "What people would write instead, µs of CPU for a request"
START = "From nothing to serving, µs of CPU"
IDLE = "Nobody there, µs of CPU in a second"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is measured."""

    name: str
    unit: str
    ready: Callable[[World], AbstractAsyncContextManager[Load]]
    """Opens what it needs, unmeasured; gives the load to be measured."""
    panel: str = READS
    """What it is drawn together with."""
    heavy: bool = False
    """Takes a minute to prepare: measured in the first round only."""
    peer: str = ""
    """The form of the peer that it is of; none: Palestra."""


def _list(size: int) -> Scenario:
    return Scenario(
        f"list-{size}",
        "request",
        requests.get(lambda _world: f"/v1/users/me/activities?pageSize={size}"),
    )


def _list_grpc(size: int) -> Scenario:
    ready = requests.grpc_call(lambda stub: stub.ListActivities, requests.list_of(size))
    return Scenario(f"list-{size}-grpc", "request", ready)


def _streams(resolution: int) -> Scenario:
    return Scenario(
        f"streams-{resolution or 'all'}",
        "request",
        requests.get(lambda world: f"/v1/{world.hour}/streams?resolution={resolution}"),
    )


def _streams_grpc(resolution: int) -> Scenario:
    ready = requests.grpc_call(
        lambda stub: stub.GetActivityStreams, requests.streams_of(resolution)
    )
    return Scenario(f"streams-{resolution or 'all'}-grpc", "request", ready)


def _of_other(name: str, path: requests.Paths) -> Scenario:
    return Scenario(name, "request", sharing.others(path), SHARED)


def _of_peer(form: str) -> tuple[Scenario, ...]:
    suffix = "peer" if form == peers.TUNED else f"peer-{form}"
    asked: dict[str, requests.Paths] = {
        "get": lambda world: f"/v1/{world.hour}",
        "list-20": lambda _world: "/v1/users/me/activities?pageSize=20",
        "list-50": lambda _world: "/v1/users/me/activities?pageSize=50",
        "streams-all": lambda world: f"/v1/{world.hour}/streams?resolution=0",
    }
    return tuple(
        Scenario(f"{name}-{suffix}", "request", requests.get(path, peer=form), PEERS, peer=form)
        for name, path in asked.items()
    )


SCENARIOS = (
    Scenario("idle", "second", requests.idle, IDLE),
    Scenario("health", "request", requests.get(lambda _world: "/healthz", signed_in=False)),
    Scenario("login", "request", requests.login, SIGNING),
    Scenario("refresh", "request", requests.refresh),
    Scenario("visible-1", "request", relations.check, VISIBILITY),
    Scenario("visible-100", "request", relations.filter_100, VISIBILITY),
    Scenario("get", "request", requests.get(lambda world: f"/v1/{world.hour}")),
    Scenario(
        "get-grpc",
        "request",
        requests.grpc_call(lambda stub: stub.GetActivity, requests.get_hour),
    ),
    _list(20),
    _list_grpc(20),
    _list(50),
    _list_grpc(50),
    _streams(1000),
    _streams_grpc(1000),
    _streams(0),
    _streams_grpc(0),
    _of_other("get-other", lambda world: f"/v1/{world.hour}"),
    _of_other("list-20-other", lambda world: f"/v1/{world.reader.user}/activities?pageSize=20"),
    _of_other("streams-1000-other", lambda world: f"/v1/{world.hour}/streams?resolution=1000"),
    *_of_peer(peers.TUNED),
    *_of_peer(peers.BEHIND),
    *_of_peer(peers.ORM),
    *(Scenario(f"ingest-{size}", "sample", live.ingest(size), INGEST) for size in (10, 100, 600)),
    Scenario("watch-50", "update", fan_out.fan_out(50, 0.1, fan_out.by_grpc), WATCHING),
    Scenario(
        "watch-1000", "update", fan_out.fan_out(1000, 1.0, fan_out.by_rest), WATCHING, heavy=True
    ),
    Scenario(
        "watch-1000-grpc",
        "update",
        fan_out.fan_out(1000, 1.0, fan_out.by_grpc),
        WATCHING,
        heavy=True,
    ),
    Scenario(
        "sessions-5000",
        "batch",
        sessions.crowd(5_000, lines.through_the_edge),
        SESSIONS,
        heavy=True,
    ),
    Scenario(
        "sessions-20000-training",
        "batch",
        sessions.crowd(20_000, lines.at_training),
        SESSIONS,
        heavy=True,
    ),
)

"""Which scenarios there are, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from tests.load import live, requests
from tests.load.requests import Load
from tests.load.world import World


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is measured."""

    name: str
    unit: str
    ready: Callable[[World], AbstractAsyncContextManager[Load]]
    """Opens what it needs, unmeasured; gives the load to be measured."""


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


SCENARIOS = (
    Scenario("idle", "second", requests.idle),
    Scenario("health", "request", requests.get(lambda _world: "/healthz", signed_in=False)),
    Scenario("login", "request", requests.login),
    Scenario("refresh", "request", requests.refresh),
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
    *(Scenario(f"ingest-{size}", "sample", live.ingest(size)) for size in (10, 100, 600)),
    Scenario("watch-50", "update", live.watch),
)

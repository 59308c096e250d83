"""What verifying an access token costs, at the edge and in a service.

`python -m tests.load.verification`. Prints figures and asserts nothing. The edge is an Envoy
that has the edge's own filters for tokens and answers by itself, so that nothing else is in
the figure: the same request with no token asked for, with one token again and again, and with
a token that was never seen. The service is `mesh.runtime.tokens.Verifier` in this process.
Rounds alternate, so that a busy minute falls on all; the difference of the medians is told.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap, BootstrapStaticResources
from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    Route,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn.v3 import PerRouteConfig
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from joserfc.jwk import OKPKey

from mesh.control.keys import KeySet
from mesh.control.resources import filters, names, strict_tokens
from mesh.control.resources.filters import AUDIENCE, CLAIMS, CLAIMS_OF, TOKEN_REQUIREMENT
from mesh.control.wire import loopback, pack
from mesh.local import binaries
from mesh.policy import load
from mesh.runtime.ids import user_id, uuid7
from mesh.runtime.tokens import PublicKey, Verifier
from services.identity.sessions import rules, tokens
from tests.load import cpu
from tests.load.closed_loop import Bounds, Call, closed_loop
from tests.load.http1 import Connection, request
from tests.support.local_stack import free_port

ROUNDS, REQUESTS, CALLERS = 7, 6_000, 4
OPEN, CLOSED = "/open", "/closed"
_STARTS_S = 15.0


class Issuer:
    """Signs tokens as identity does: with every scope of the contract, each of its own."""

    def __init__(self) -> None:
        private = Ed25519PrivateKey.generate()
        self.key_id = str(uuid7())
        self.public = private.public_key().public_bytes_raw()
        self._key = OKPKey.import_key(private, {"kid": self.key_id})
        self._scopes = frozenset(
            each.policy.scope for each in load().methods.values() if each.policy.scope
        )

    def tokens(self, count: int) -> list[str]:
        """So many tokens of so many sessions."""
        now, found = datetime.now(UTC), []
        for _ in range(count):
            opening = rules.Opening(user_id(0), frozenset({"pwd"}))
            session, _ = rules.open_session(
                opening, uuid7(), bytes(32), uuid.uuid4().bytes * 2, now
            )
            found.append(tokens.mint(self._key, session, self._scopes, now, 900)[0])
        return found


def _listener(port: int, jwks: str) -> Listener:
    verifying = [filters.tokens(jwks)]
    http_filters = [
        HttpFilter(name=each.name, typed_config=each.typed_config)
        for each in (strict_tokens.form(jwks), *verifying)
    ]
    http_filters += [
        strict_tokens.claims(AUDIENCE, CLAIMS_OF, CLAIMS),
        HttpFilter(name="router", typed_config=pack(Router())),
    ]
    manager = HttpConnectionManager(
        stat_prefix="edge",
        http_filters=http_filters,
        route_config=RouteConfiguration(
            name="edge", virtual_hosts=[VirtualHost(name="edge", domains=["*"], routes=_routes())]
        ),
    )
    return Listener(
        name="edge",
        address=loopback(port),
        filter_chains=[FilterChain(filters=[Filter(name="http", typed_config=pack(manager))])],
    )


def _routes() -> list[Route]:
    wanted = {OPEN: PerRouteConfig(disabled=True)}
    wanted[CLOSED] = PerRouteConfig(requirement_name=TOKEN_REQUIREMENT)
    return [
        Route(
            match=RouteMatch(path=path),
            direct_response=DirectResponseAction(status=200, body=DataSource(inline_string="{}")),
            typed_per_filter_config={
                each: pack(config)
                for each, config in (
                    (names.JWT, asked),
                    *strict_tokens.on_route(needs_token=path == CLOSED).items(),
                )
            },
        )
        for path, asked in wanted.items()
    ]


@contextmanager
def _edge(issuer: Issuer) -> Iterator[tuple[int, int]]:
    """An Envoy that only verifies: its port and its process."""
    port = free_port()
    jwks = KeySet(((issuer.key_id, issuer.public),)).jwks()
    bootstrap = Bootstrap(
        static_resources=BootstrapStaticResources(listeners=[_listener(port, jwks)])
    )
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "envoy.pb"
        config.write_bytes(bytes(bootstrap))
        command = (str(binaries.envoy()), "-c", str(config), "--disable-hot-restart")
        process = subprocess.Popen([*command, "--concurrency", "1", "--log-level", "error"])
        try:
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


async def _connected(port: int) -> list[Connection]:
    until = time.monotonic() + _STARTS_S
    while True:
        try:
            return [await Connection.open("127.0.0.1", port) for _ in range(CALLERS)]
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)


def _asking(connections: Sequence[Connection], packed: Iterator[bytes]) -> list[Call]:
    def of(connection: Connection) -> Call:
        async def call() -> bool:
            return (await connection.ask(next(packed))).status == 200

        return call

    return [of(each) for each in connections]


async def _at_edge(issuer: Issuer) -> dict[str, list[float]]:
    """CPU µs of a request in each round, by what was shown."""
    host = "127.0.0.1"
    packed = {
        "no token": itertools.repeat(request("GET", OPEN, host=host)),
        "a token seen before": itertools.repeat(
            request("GET", CLOSED, host=host, token=issuer.tokens(1)[0])
        ),
        "a token not seen before": iter(
            [
                request("GET", CLOSED, host=host, token=each)
                for each in issuer.tokens((ROUNDS + 1) * REQUESTS)
            ]
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in packed}
    with _edge(issuer) as (port, pid):
        connections = await _connected(port)
        for number, (name, requests) in itertools.product(range(ROUNDS + 1), packed.items()):
            before = cpu.usage(cpu.read_all(), {"edge": [pid]})
            tally = await closed_loop(_asking(connections, requests), Bounds(60.0, REQUESTS))
            used = cpu.usage(cpu.read_all(), {"edge": [pid]}).since(before)["edge"]
            if tally.failed:
                raise SystemExit(f"{name}: {tally.failed} requests were refused")
            if number:  # the first warms up
                found[name].append(used / tally.units)
        for each in connections:
            each.close()
    return found


async def _in_service(issuer: Issuer) -> dict[str, list[float]]:
    async def keys() -> list[PublicKey]:
        return [PublicKey(issuer.key_id, issuer.public)]

    verifier, found = Verifier(keys), {"seen before": [0.0], "not seen before": [0.0]}
    for each in found.values():
        each.clear()
    for _ in range(ROUNDS):
        shown = issuer.tokens(REQUESTS // 4)
        for name in ("not seen before", "seen before"):
            begun = time.process_time()
            for token in shown:
                await verifier.verify(token)
            found[name].append((time.process_time() - begun) / len(shown) * 1e6)
    return found


def _told(where: str, found: dict[str, list[float]], base: str = "") -> None:
    for name, rounds in found.items():
        above = (
            f", {median(rounds) - median(found[base]):6.1f} more" if base and name != base else ""
        )
        print(
            f"{where:<12} {name:<24} {median(rounds):7.1f} µs{above}"
            f"  (rounds {min(rounds):.1f} to {max(rounds):.1f})"
        )


async def _main() -> None:
    issuer = Issuer()
    print(f"a token of {len(issuer.tokens(1)[0])} bytes, {ROUNDS} rounds of {REQUESTS} requests")
    _told("at the edge", await _at_edge(issuer), "no token")
    _told("in a service", await _in_service(issuer))


if __name__ == "__main__":
    uvloop.run(_main())

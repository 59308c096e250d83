"""Contract -> the routes of the edge, REST and gRPC, in the order they are tried.

Owns which methods the world may reach and what each route carries: deadline,
limit, whether a token is needed. A method for services alone has no route.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from gateway import bindings
from gateway.overrides import Limit, Overrides
from gateway.paths import Pattern, overlap, pattern_of
from mesh import policy
from mesh.policy import Contract, Method

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class RouteError(ValueError):
    """The edge cannot serve the contract; the words name the method."""


@dataclass(frozen=True, slots=True)
class EdgeRoute:
    """One way from outside to a method."""

    method: str
    """The gRPC path, `/palestra.identity.v1.AuthService/Register`."""
    service: str
    """The catalogue's name of the service that answers."""
    verb: str
    """The HTTP method; POST for gRPC."""
    pattern: Pattern | None
    """The REST path; None for gRPC, whose path is `method`."""
    streaming: bool
    timeout_ms: int
    """0 for streams."""
    needs_token: bool
    limit: Limit | None
    cached: bool = False
    """Whether answers over REST may be kept, and are asked for by their tag."""

    rendered: bool = False
    """Whether the service writes the JSON of its answers."""

    repeatable: bool = False
    """Whether the edge may send it again although it may have been begun."""

    secret: bool = False
    """Whether answers hold what opens doors, a token say."""

    @property
    def name(self) -> str:
        """What the route is called in statistics and messages."""
        return f"{self.verb} {self.pattern.template}" if self.pattern else f"gRPC {self.method}"


def derive(contract: Contract, overrides: Overrides) -> tuple[EdgeRoute, ...]:
    """Every route of the edge: first what is read most, then the most particular first.

    Envoy tries one after the other: with those in the middle of its list, a small read
    spent a tenth of what it costs the edge on the way to them.

    Raises:
        RouteError: a mapping cannot be served, two methods share a path, or a path
            of one domain fits what is another's.
    """
    rest: dict[tuple[str, str], EdgeRoute] = {}
    grpc: list[EdgeRoute] = []
    for method in contract.methods.values():
        if method.policy.access == policy.SERVICE:
            continue
        grpc.append(_route(method, overrides, "POST", None))
        for verb, pattern in _mappings(method):
            taken = rest.setdefault(
                (verb, pattern.template), route := _route(method, overrides, verb, pattern)
            )
            if taken is not route:
                raise RouteError(f"{method.path} and {taken.method} both have {route.name}")
    _keep_apart(list(rest.values()))
    return _most_read_first([*grpc, *sorted(rest.values(), key=_rank)], contract)


def _most_read_first(routes: list[EdgeRoute], contract: Contract) -> tuple[EdgeRoute, ...]:
    """Ahead go those whose answers are worth keeping, which are asked for again and again.

    What a more particular route fits as well stays behind that one.
    """
    first: list[EdgeRoute] = []
    others: list[EdgeRoute] = []
    for route in routes:
        often = contract.methods[route.method].policy.HasField("cache")
        if often and not any(_both_fit(route, each) for each in others):
            first.append(route)
        else:
            others.append(route)
    return (*first, *others)


def _both_fit(one: EdgeRoute, other: EdgeRoute) -> bool:
    if one.pattern is None or other.pattern is None:
        return False
    return one.verb == other.verb and overlap(one.pattern, other.pattern)


def _keep_apart(rest: list[EdgeRoute]) -> None:
    """Within a domain the most particular counts; between domains nothing may be in doubt."""
    for one, other in combinations(rest, 2):
        if one.service != other.service and _both_fit(one, other):
            raise RouteError(
                f"{one.method} ({one.name}) and {other.method} ({other.name}) are of two domains, "
                "and one path fits both"
            )


def _mappings(method: Method) -> Iterator[tuple[str, Pattern]]:
    for rule in method.http:
        if rule.verb not in VERBS:
            raise RouteError(f"{method.path} has no HTTP verb of {', '.join(VERBS)}")
        if method.descriptor.client_streaming:
            raise RouteError(f"{method.path} is a client stream, which REST cannot carry")
        try:
            bindings.check(method.descriptor.input_type, rule)
            yield rule.verb, pattern_of(rule.path)
        except ValueError as error:
            raise RouteError(f"{method.path}: {error}") from error


def _rank(route: EdgeRoute) -> tuple[object, ...]:
    return (*route.pattern.rank, route.verb) if route.pattern else ()


def _route(method: Method, overrides: Overrides, verb: str, pattern: Pattern | None) -> EdgeRoute:
    return EdgeRoute(
        method=method.path,
        service=method.service,
        verb=verb,
        pattern=pattern,
        streaming=method.streaming,
        timeout_ms=overrides.timeout_ms(method),
        needs_token=method.policy.access != policy.PUBLIC,
        limit=overrides.limit(method),
        cached=pattern is not None and verb == "GET" and method.policy.HasField("cache"),
        rendered=pattern is not None and method.policy.rendering == policy.BY_SERVICE,
        repeatable=method.repeatable,
        secret=policy.holds_secret(method.descriptor.output_type),
    )

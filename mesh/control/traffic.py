"""What an operator asks of calls for the time being: other ways, and faults on purpose.

Owns the shape of `traffic.json` and its bounds. A fault says until when it holds; whoever
reads it later does not see it any more, whether its author is still there or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from mesh import catalog

MAX_WAYS, MAX_FAULTS = 16, 64
MAX_DELAY_MS = 60_000
LONGEST_S = 86_400.0
ABORTS: Mapping[str, int] = MappingProxyType(
    {
        "CANCELLED": 1,
        "UNKNOWN": 2,
        "INVALID_ARGUMENT": 3,
        "DEADLINE_EXCEEDED": 4,
        "NOT_FOUND": 5,
        "ALREADY_EXISTS": 6,
        "PERMISSION_DENIED": 7,
        "RESOURCE_EXHAUSTED": 8,
        "FAILED_PRECONDITION": 9,
        "ABORTED": 10,
        "OUT_OF_RANGE": 11,
        "UNIMPLEMENTED": 12,
        "INTERNAL": 13,
        "UNAVAILABLE": 14,
        "DATA_LOSS": 15,
        "UNAUTHENTICATED": 16,
    }
)
"""What a fault may answer: gRPC's codes."""
OF_STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "400": "INVALID_ARGUMENT",
        "401": "UNAUTHENTICATED",
        "403": "PERMISSION_DENIED",
        "404": "NOT_FOUND",
        "409": "ABORTED",
        "429": "RESOURCE_EXHAUSTED",
        "499": "CANCELLED",
        "500": "INTERNAL",
        "501": "UNIMPLEMENTED",
        "503": "UNAVAILABLE",
        "504": "DEADLINE_EXCEEDED",
    }
)
"""The code that REST clients get as an HTTP status."""
VALUE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SUBSET = re.compile(r"[a-z][a-z0-9]{0,15}")
_UNIX = "unix:"


class TrafficError(ValueError):
    """`traffic.json` cannot be followed; the words say which part."""


@dataclass(frozen=True, slots=True)
class Steering:
    """Where the calls of one service go besides its own workers."""

    weights: Mapping[str, float] = field(default_factory=dict)
    """By subset, in percent of the calls that no header sends elsewhere."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By value of `x-palestra-dev`: a subset, or `unix:/path`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure on purpose, for a share of a service's calls."""

    service: str
    percent: float
    until_s: float
    """Since 1970."""
    method: str = ""
    """A gRPC path; empty for every method."""
    delay_ms: int = 0
    abort: str = ""
    """One of `ABORTS`; empty for none."""

    def concerns(self, service: str, method: str) -> bool:
        """Whether it is for calls of this method."""
        return self.service == service and self.method in ("", method)


@dataclass(frozen=True, slots=True)
class Traffic:
    """All of it."""

    steering: Mapping[str, Steering] = field(default_factory=dict)
    """By service."""
    faults: tuple[Fault, ...] = ()

    def of(self, service: str) -> Steering:
        """A service's other ways."""
        return self.steering.get(service, AHEAD)

    def at(self, now_s: float) -> Traffic:
        """What of it holds at an instant."""
        return replace(self, faults=tuple(each for each in self.faults if each.until_s > now_s))


AHEAD = Steering()
"""Every call to the service's own workers."""
USUAL = Traffic()


def parse(text: str | bytes) -> Traffic:
    """`{"routes": {SERVICE: {"weights": {…}, "headers": {…}}}, "faults": [{…}]}`.

    Raises:
        TrafficError: it is not JSON of this shape, or says what cannot be meant.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise TrafficError(f"not JSON: {error}") from error
    said = _object(document, {"routes", "faults"}, "the document")
    routes = _object(said.get("routes", {}), None, "routes")
    faults = said.get("faults", [])
    if not isinstance(faults, list) or len(faults) > MAX_FAULTS:
        raise TrafficError(f"faults is no list of at most {MAX_FAULTS}")
    steering = {_service(name): _steering(name, each) for name, each in routes.items()}
    return Traffic(steering, tuple(map(_fault, faults)))


def _steering(service: str, value: object) -> Steering:
    said = _object(value, {"weights", "headers"}, service)
    weights = _object(said.get("weights", {}), None, f"{service} weights")
    headers = _object(said.get("headers", {}), None, f"{service} headers")
    if len(weights) + len(headers) > MAX_WAYS:
        raise TrafficError(f"{service} has {len(weights) + len(headers)} ways, not {MAX_WAYS}")
    shares = {_subset(name): _percent(each, name) for name, each in weights.items()}
    if sum(shares.values()) > 100:
        raise TrafficError(f"{service}: the subsets' shares are more than 100 % together")
    for each in headers:
        if not VALUE.fullmatch(each):
            raise TrafficError(f"{each!r} is no value of {catalog.DEVELOPER_HEADER}: a-z, 0-9, -")
    return Steering(shares, {name: target(each) for name, each in headers.items()})


def target(value: object) -> str:
    """A subset's name, or `unix:/path`.

    Raises:
        TrafficError: it is neither.
    """
    if isinstance(value, str) and value.startswith(_UNIX):
        path = value.removeprefix(_UNIX)
        if not path.startswith("/") or len(path.encode()) > 107:
            raise TrafficError(f"{value!r} is not unix: and an absolute path of 107 bytes at most")
        return value
    return _subset(value)


def _subset(value: object) -> str:
    if not isinstance(value, str) or not _SUBSET.fullmatch(value):
        raise TrafficError(f"{value!r} is neither a subset (a-z, 0-9) nor unix:/path")
    return value


def _fault(value: object) -> Fault:
    known = {"service", "percent", "until_s", "method", "delay_ms", "abort"}
    said = _object(value, known, "a fault")
    delay_ms, abort = said.get("delay_ms", 0), said.get("abort", "")
    method, until_s = said.get("method", ""), said.get("until_s")
    if not isinstance(method, str) or (method and not method.startswith("/")):
        raise TrafficError(f"{method!r} is no gRPC path")
    if isinstance(delay_ms, bool) or not isinstance(delay_ms, int):
        raise TrafficError("delay_ms is no whole number")
    if not 0 <= delay_ms <= MAX_DELAY_MS:
        raise TrafficError(f"a delay of {delay_ms} ms; {MAX_DELAY_MS} are possible")
    if not isinstance(abort, str) or (abort and abort not in ABORTS):
        raise TrafficError(f"{abort!r} is none of {', '.join(ABORTS)}")
    if not delay_ms and not abort:
        raise TrafficError("a fault neither delays nor aborts")
    if isinstance(until_s, bool) or not isinstance(until_s, int | float):
        raise TrafficError("a fault does not say until_s")
    service = _service(said.get("service"))
    share = _percent(said.get("percent", 100), f"a fault of {service}")
    return Fault(service, share, float(until_s), method, delay_ms, abort)


def _service(value: object) -> str:
    known = [each.name for each in catalog.SERVICES]
    if value not in known:
        raise TrafficError(f"no service {value!r}; there are {', '.join(known)}")
    return str(value)


def _percent(value: object, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.01 <= float(str(value)) <= 100:
        raise TrafficError(f"{where}: {value!r} is no share of 0.01 to 100 percent")
    return round(float(str(value)), 2)


def _object(value: object, allowed: set[str] | None, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TrafficError(f"{where} is not an object")
    if allowed is not None and (unknown := sorted(value.keys() - allowed)):
        raise TrafficError(f"{where} has an unknown entry {unknown[0]!r}")
    return value

"""What an operator changed for the time being: a method's deadline or limit, a service's capacity.

Owns the shape of `overrides.json` and how it lies over the contract. Never
loosens who may call: access is the contract's alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

from mesh import catalog
from mesh.catalog import Capacity
from mesh.policy import Contract, Method
from palestra.mesh.v1 import policy_pb2

MAX_TIMEOUT_MS = 600_000
MAX_REQUESTS = 10_000_000
MAX_WINDOW_S = 86_400
MAX_CAPACITY = 1_000_000

_KEYS = {
    policy_pb2.LIMIT_KEY_USER: "user",
    policy_pb2.LIMIT_KEY_ADDRESS: "address",
    policy_pb2.LIMIT_KEY_CLIENT: "client",
}


class OverrideError(ValueError):
    """`overrides.json` cannot be followed; the words say which part."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one caller may call a method."""

    requests: int
    window_s: int
    key: str
    """What tells callers apart: `user`, `address` or `client`."""
    everywhere: bool = False
    """Whether all edges count together, instead of each alone."""


@dataclass(frozen=True, slots=True)
class Override:
    """What is changed of one method; None leaves the contract's word."""

    timeout_ms: int | None = None
    requests: int | None = None
    window_s: int | None = None


@dataclass(frozen=True, slots=True)
class Overrides:
    """The operator's changes."""

    methods: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))
    """By gRPC path."""
    capacities: Mapping[str, Capacity] = field(default_factory=lambda: MappingProxyType({}))
    """By service, whole."""

    def capacity(self, service: str) -> Capacity:
        """What a caller may have under way with a service at once."""
        return self.capacities.get(service) or catalog.service(service).capacity

    def timeout_ms(self, method: Method) -> int:
        """The method's deadline; 0 for streams, which end with their token."""
        if method.streaming:
            return 0
        return self._of(method).timeout_ms or int(method.policy.timeout_ms)

    def limit(self, method: Method) -> Limit | None:
        """The method's limit; None where it has none."""
        changed, said = self._of(method), method.policy.limit
        requests = changed.requests or int(said.requests)
        window_s = changed.window_s or int(said.window_s)
        if not requests or not window_s:
            return None
        # An open method has no user to count by.
        anyone = method.policy.access == policy_pb2.ACCESS_PUBLIC
        key = "address" if anyone else _KEYS.get(said.key, "user")
        return Limit(requests, window_s, key, everywhere=getattr(said, "global"))

    def _of(self, method: Method) -> Override:
        return self.methods.get(method.path, Override())


def parse(text: str | bytes, contract: Contract) -> Overrides:
    """The overrides in `{"methods": {"/pkg.Service/Method": {"timeout_ms", "limit"}},
    "capacity": {"training": {"requests", "streams", "connections", "retries"}}}`.

    Raises:
        OverrideError: it is not JSON of this shape, names an unknown method or
            a number out of bounds. Nothing of it applies then.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise OverrideError(f"not JSON: {error}") from error
    sections = _only(document, {"methods", "capacity"}, "the document")
    methods = sections.get("methods", {})
    parsed = {}
    for path, change in _only(methods, contract.methods.keys(), "methods").items():
        parsed[path] = _override(path, change)
        if parsed[path].timeout_ms and contract.methods[path].streaming:
            raise OverrideError(f"{path} is a stream: it has no timeout_ms")
    capacities = _capacities(sections.get("capacity", {}))
    return Overrides(MappingProxyType(parsed), MappingProxyType(capacities))


def _capacities(section: object) -> dict[str, Capacity]:
    known = {each.name for each in catalog.SERVICES}
    numbers = tuple(each.name for each in fields(Capacity))
    found = {}
    for service, change in _only(section, known, "capacity").items():
        where = f"{service} capacity"
        said = _only(change, numbers, where)
        changed = {name: _number(said, name, MAX_CAPACITY, where) for name in said}
        standing = catalog.service(service).capacity
        found[service] = replace(standing, **{k: v for k, v in changed.items() if v is not None})
    return found


def _override(path: str, change: object) -> Override:
    said = _only(change, {"timeout_ms", "limit"}, path)
    limit = _only(said.get("limit", {}), {"requests", "window_s"}, f"{path} limit")
    return Override(
        timeout_ms=_number(said, "timeout_ms", MAX_TIMEOUT_MS, path),
        requests=_number(limit, "requests", MAX_REQUESTS, path),
        window_s=_number(limit, "window_s", MAX_WINDOW_S, path),
    )


def _only(value: object, allowed: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise OverrideError(f"{where} is not an object")
    for key in value:
        if key not in allowed:  # type: ignore[operator]
            raise OverrideError(f"{where} has an unknown entry {key!r}")
    return value


def _number(said: dict[str, object], name: str, most: int, where: str) -> int | None:
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise OverrideError(f"{where}: {name} is not a whole number from 1 to {most}")
    return value

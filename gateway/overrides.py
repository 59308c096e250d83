"""What an operator changed for the time being: a method's deadline or limit.

Owns the shape of `overrides.json` and how it lies over the contract. Never
loosens who may call: access is the contract's alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mesh.policy import Contract, Method
from palestra.mesh.v1 import policy_pb2

MAX_TIMEOUT_MS = 600_000
MAX_REQUESTS = 10_000_000
MAX_WINDOW_S = 86_400

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


@dataclass(frozen=True, slots=True)
class Override:
    """What is changed of one method; None leaves the contract's word."""

    timeout_ms: int | None = None
    requests: int | None = None
    window_s: int | None = None


@dataclass(frozen=True, slots=True)
class Overrides:
    """The operator's changes, by gRPC path."""

    methods: Mapping[str, Override] = field(default_factory=lambda: MappingProxyType({}))

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
        return Limit(requests, window_s, key)

    def _of(self, method: Method) -> Override:
        return self.methods.get(method.path, Override())


def parse(text: str | bytes, contract: Contract) -> Overrides:
    """The overrides in `{"methods": {"/pkg.Service/Method": {"timeout_ms", "limit"}}}`.

    Raises:
        OverrideError: it is not JSON of this shape, names an unknown method or
            a number out of bounds. Nothing of it applies then.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise OverrideError(f"not JSON: {error}") from error
    methods = _only(document, {"methods"}, "the document").get("methods", {})
    parsed = {}
    for path, change in _only(methods, contract.methods.keys(), "methods").items():
        parsed[path] = _override(path, change)
        if parsed[path].timeout_ms and contract.methods[path].streaming:
            raise OverrideError(f"{path} is a stream: it has no timeout_ms")
    return Overrides(MappingProxyType(parsed))


def _override(path: str, change: object) -> Override:
    fields = _only(change, {"timeout_ms", "limit"}, path)
    limit = _only(fields.get("limit", {}), {"requests", "window_s"}, f"{path} limit")
    return Override(
        timeout_ms=_number(fields, "timeout_ms", MAX_TIMEOUT_MS, path),
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


def _number(fields: dict[str, object], name: str, most: int, where: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise OverrideError(f"{where}: {name} is not a whole number from 1 to {most}")
    return value

"""Raw HTTP/1.1 requests of the contract's REST mappings, damaged in body, path or headers."""

from __future__ import annotations

import json
import random
import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh import policy
from tests.support import made_requests
from tests.support.mutations import damage

_VARIABLE = re.compile(r"\{([^=}]+)(?:=([^}]*))?\}")
HEADERS: tuple[tuple[str, str], ...] = (
    ("accept", "text/event-stream"),
    ("accept", "*/*;q=x, ,,"),
    ("accept-encoding", "gzip, br;q=-1, nonsense"),
    ("accept-language", "ru;q=99999999999, \xff"),
    ("authorization", ""),
    ("authorization", "Bearer"),
    ("authorization", "Bearer " + "a" * 20_000),
    ("authorization", "Bearer a.b.c"),
    ("authorization", "Basic dTpw"),
    ("connection", "close, x-palestra-mesh-proof"),
    ("content-encoding", "gzip"),
    ("content-type", "application/grpc"),
    ("content-type", "application/grpc-web+proto"),
    ("content-type", "text/plain; charset=utf-16"),
    ("content-type", "multipart/form-data"),
    ("cookie", "a=b; " * 100),
    ("expect", "100-continue"),
    ("grpc-status", "0"),
    ("grpc-timeout", "99999999H"),
    ("grpc-timeout", "-1S"),
    ("host", "users/me"),
    ("if-match", '"\x00'),
    ("if-none-match", '*, W/"x", "'),
    ("origin", "null"),
    ("range", "bytes=9-1,-"),
    ("te", "trailers, chunked"),
    ("traceparent", "00-" + "0" * 32 + "-" + "f" * 16 + "-zz"),
    ("transfer-encoding", "gzip, chunked"),
    ("upgrade", "websocket"),
    ("x-envoy-max-retries", "1000"),
    ("x-envoy-original-path", "/v1/users/me"),
    ("x-envoy-original-method", "DELETE"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    ("x-forwarded-client-cert", "By=x;URI=spiffe://palestra.local/edge"),
    ("x-forwarded-for", "127.0.0.1, ::1, nonsense"),
    ("x-forwarded-proto", "ftp"),
    ("x-http-method-override", "DELETE"),
    ("x-palestra-mesh-proof", "guessed"),
    ("x-palestra-nowhere", "identity"),
    ("x-palestra-strict", "1"),
    ("x-request-id", "x" * 5_000),
)
_QUERY: tuple[str, ...] = (
    "pageSize=-1",
    "pageSize=99999999999999999999",
    "pageSize=1&pageSize=2",
    "pageToken=%00%ff",
    "filter=%28%28%28%22",
    "filter=sport%20%3D%20" + "x" * 600,
    "orderBy=startTime%20sideways",
    "readMask=*,,..a.",
    "nothing=1",
    "=",
    "&&&&",
    "a" * 9_000,
    "%",
    "resolution=NaN",
    "channels=" + "&channels=".join("x" * 100),
)
_WELL_KNOWN: dict[str, Any] = {
    "google.protobuf.Timestamp": "2026-05-01T06:00:00Z",
    "google.protobuf.Duration": "90s",
    "google.protobuf.FieldMask": "title,notes",
}
_SCALARS: dict[int, Any] = {
    FieldDescriptor.CPPTYPE_STRING: "x",
    FieldDescriptor.CPPTYPE_BOOL: True,
    FieldDescriptor.CPPTYPE_DOUBLE: 1.5,
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A REST mapping, and a request that keeps its rules."""

    verb: str
    path: str
    body: Any
    """What the JSON body says; None where there is none."""


def mapped(contract: policy.Contract, owner: uuid.UUID) -> list[Mapped]:
    """Every mapping that answers once and lets him go on, with a right request of the owner's."""
    found = []
    for method in contract.methods.values():
        if method.policy.access == policy.SERVICE or method.streaming:
            continue
        if method.descriptor.name in made_requests.LAST_CALLS:
            continue
        made = json_format.MessageToDict(made_requests.request(method, owner))
        for rule in method.http:
            path = _bound(rule.path, made)
            whole = filled(method.descriptor.input_type) | made
            body = whole if rule.body == "*" else whole.get(_camel(rule.body))
            found.append(Mapped(rule.verb, path, body if rule.body else None))
    return found


def filled(message: Descriptor, depth: int = 3) -> dict[str, Any]:
    """A JSON object with something in every field of a message; of a choice, in the first."""
    return {
        field.json_name: [_something(field, depth)]
        if field.is_repeated
        else _something(field, depth)
        for field in message.fields
        if field.containing_oneof is None or field.containing_oneof.fields[0] is field
    }


def _something(field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None:
        known = _WELL_KNOWN.get(field.message_type.full_name)
        return known or (filled(field.message_type, depth - 1) if depth else {})
    if field.enum_type is not None:
        return field.enum_type.values[-1].name
    return _SCALARS.get(field.cpp_type, 1)


def _bound(template: str, made: Any) -> str:
    return _VARIABLE.sub(lambda match: _value(made, match[1]), template)


def _value(made: Any, field: str) -> str:
    for part in field.split("."):
        made = made.get(_camel(part), {})
    return str(made or "x")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)


def damaged(chance: random.Random, mapping: Mapped, token: str) -> bytes:
    """A whole request, in which something is wrong."""
    path, headers = mapping.path, [("authorization", f"Bearer {token}")]
    body = b"" if mapping.body is None else json.dumps(mapping.body).encode()
    what = chance.random()
    if what < 0.45 and mapping.body is not None:
        body = damage.of_json(chance, mapping.body)
    elif what < 0.75:
        path = _path(chance, path)
    else:
        for _ in range(chance.randint(1, 3)):
            headers = _with(chance, headers)
    verb = mapping.verb if chance.random() < 0.95 else chance.choice(("PUT", "OPTIONS", "TRACE"))
    return _written(chance, verb, path, headers, body)


def _path(chance: random.Random, path: str) -> str:
    parts = path.split("/")
    place = chance.randrange(1, len(parts))
    kind = chance.random()
    if kind < 0.5:
        parts[place] = quote(chance.choice(damage.TEXTS), safe="", errors="replace")
    elif kind < 0.6:
        parts.insert(place, chance.choice(("..", ".", "", "%2e%2e", "%2F", "%00", ";a=b", "*")))
    elif kind < 0.7:
        parts[place] = damage.of_bytes(chance, parts[place].encode()).hex()
    elif kind < 0.75:
        parts[-1] += chance.choice((":watch", ":", ":nothing", "/", "//", "#x"))
    found = "/".join(parts)
    return f"{found}?{chance.choice(_QUERY)}" if kind > 0.6 else found


def _with(chance: random.Random, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    name, value = chance.choice(HEADERS)
    kept = [each for each in headers if each[0] != name or chance.random() < 0.3]
    return [*kept, (name, value)]


def _written(
    chance: random.Random, verb: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> bytes:
    names = {name for name, _ in headers}
    if "host" not in names:
        headers = [("host", "palestra"), *headers]
    if body and "content-type" not in names:
        headers = [*headers, ("content-type", "application/json")]
    if "transfer-encoding" not in names:
        # Sometimes less than there is; more would only wait.
        length = len(body) if chance.random() < 0.97 else len(body) // 2
        headers = [*headers, ("content-length", str(length))]
    lines = [f"{verb} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body

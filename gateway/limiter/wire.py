"""Envoy's rate-limit service on the wire: the part of its messages that is used here.

Owns the shapes and the (de)serializing. Envoy's own generated types would cost more at
the start than all the rest of this process; a test compares the bytes with theirs.
Source: envoy/service/ratelimit/v3/rls.proto, envoy/extensions/common/ratelimit/v3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
OK, OVER_LIMIT = 1, 2
"""RateLimitResponse.Code."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_STRING, _UINT32, _INT32 = _FIELD.TYPE_STRING, _FIELD.TYPE_UINT32, _FIELD.TYPE_INT32
_PACKAGE = "palestra.limiter.wire"
# By message: its fields as (number, name, type or message, repeated).
_MESSAGES: dict[str, tuple[tuple[int, str, int | str, bool], ...]] = {
    "Entry": ((1, "key", _STRING, False), (2, "value", _STRING, False)),
    "Descriptor": (
        (1, "entries", f".{_PACKAGE}.Entry", True),
        (3, "hits_addend", ".google.protobuf.UInt64Value", False),
    ),
    "Question": (
        (1, "domain", _STRING, False),
        (2, "descriptors", f".{_PACKAGE}.Descriptor", True),
        (3, "hits_addend", _UINT32, False),
    ),
    "Header": ((1, "key", _STRING, False), (2, "value", _STRING, False)),
    # Enums are int32 on the wire.
    "Status": ((1, "code", _INT32, False), (3, "limit_remaining", _UINT32, False)),
    "Answer": (
        (1, "overall_code", _INT32, False),
        (2, "statuses", f".{_PACKAGE}.Status", True),
        (3, "response_headers_to_add", f".{_PACKAGE}.Header", True),
    ),
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One thing to count by."""

    entries: tuple[tuple[str, str], ...]
    hits: int
    """How many calls this is."""


@dataclass(frozen=True, slots=True)
class Question:
    """May this call pass?"""

    domain: str
    descriptors: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it may, and what the caller is told with it."""

    over: bool
    remaining: tuple[int, ...]
    """Calls that are left, by descriptor; those of an answer that is `over` may be 0."""
    headers: tuple[tuple[str, str], ...] = ()


def _types() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="palestra/limiter/wire.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = _FIELD.TYPE_MESSAGE, kind
            else:
                made.type = kind  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    for each in (wrappers_pb2.DESCRIPTOR.serialized_pb, file.SerializeToString()):
        pool.AddSerializedFile(each)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_TYPES = _types()


def question(raw: bytes) -> Question:
    """Reads a RateLimitRequest.

    Raises:
        google.protobuf.message.DecodeError: it is none.
    """
    read = _TYPES["Question"].FromString(raw)
    # None said is one call.
    hits = read.hits_addend or 1
    return Question(
        read.domain,
        tuple(
            Descriptor(
                tuple((entry.key, entry.value) for entry in each.entries),
                each.hits_addend.value if each.HasField("hits_addend") else hits,
            )
            for each in read.descriptors
        ),
    )


def answer(said: Answer) -> bytes:
    """Writes a RateLimitResponse."""
    status, header = _TYPES["Status"], _TYPES["Header"]
    code = OVER_LIMIT if said.over else OK
    written: bytes = _TYPES["Answer"](
        overall_code=code,
        statuses=[
            status(code=OVER_LIMIT if said.over and not left else OK, limit_remaining=left)
            for left in said.remaining
        ],
        response_headers_to_add=[header(key=key, value=value) for key, value in said.headers],
    ).SerializeToString()
    return written

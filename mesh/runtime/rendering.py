"""The JSON of REST answers that the service writes itself, as the edge would write it.

Owns the form (protobuf's canonical JSON, with what is empty said) and its envelope, a
google.api.HttpBody. For a method whose contract says so the edge's transcoder passes
the envelope's content on; callers by gRPC get the message. Decides no content.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

import orjson
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mesh import policy
from mesh.runtime.errors import invalid_field
from mesh.runtime.wire import embed

_CONTENT_TYPE: Final = embed(1, [b"application/json"])
_DATA: Final = 2
_WELL_KNOWN: Final = "google.protobuf."


class Json(bytes):
    """An answer that is JSON already; `etag` is the one of the resource in it."""

    etag: str = ""


def json_of(message: Message) -> bytes:
    """A message as the edge prints it."""
    return orjson.dumps(dict_of(message))


def dict_of(message: Message) -> dict[str, Any]:
    """The same, before it is written; fields in the contract's order."""
    told = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return _ordered(cast("Descriptor", message.DESCRIPTOR), told)


def _ordered(kind: Descriptor, told: dict[str, Any]) -> dict[str, Any]:
    # What is empty was written last.
    return {
        field.json_name: _inside(field, told[field.json_name])
        for field in kind.fields
        if field.json_name in told
    }


def _inside(field: FieldDescriptor, value: Any) -> Any:
    kind = field.message_type
    # Google's own types have forms of their own, and the keys of a map no order.
    if kind is None or kind.GetOptions().map_entry or kind.full_name.startswith(_WELL_KNOWN):
        return value
    if isinstance(value, list):
        return [_ordered(kind, each) for each in value]
    return _ordered(kind, value)


def joined(field: str, items: Collection[bytes], more: Mapping[str, str]) -> Json:
    """`{field: [items], …more}`, of items that are JSON already."""
    rest = b"".join(b"," + orjson.dumps(name) + b":" + orjson.dumps(more[name]) for name in more)
    return Json(b'{"%b":[%b]%b}' % (field.encode(), b",".join(items), rest))


def resource(field: str, item: bytes, etag: str) -> Json:
    """`{field: item}`, of an item that is JSON already."""
    made = Json(b'{"%b":%b}' % (field.encode(), item))
    made.etag = etag
    return made


def only(mask: FieldMask, kind: type[Message], content: bytes) -> bytes:
    """The JSON of a message of `kind` with the top-level fields that a read mask names.

    Raises:
        MeshError: INVALID_FIELD where the mask names a field that does not exist.
    """
    if not mask.paths or list(mask.paths) == ["*"]:
        return content
    known = kind.DESCRIPTOR.fields_by_name
    wanted = set()
    for path in (path.split(".", 1)[0] for path in mask.paths):
        if path not in known:
            raise invalid_field("read_mask", f"there is no field {path!r}")
        wanted.add(known[path].json_name)
    whole = orjson.loads(content)
    return orjson.dumps({name: value for name, value in whole.items() if name in wanted})


def envelope_of(method: policy.Method) -> Callable[[Message | bytes], bytes] | None:
    """What puts a method's REST answers into their envelope; None where the edge renders."""
    if method.policy.rendering != policy.BY_SERVICE:
        return None
    parse = message_factory.GetMessageClass(method.descriptor.output_type).FromString

    def envelope(answer: Message | bytes) -> bytes:
        if not isinstance(answer, Json):
            message = parse(answer) if isinstance(answer, bytes) else answer
            answer = Json(json_of(message))
        return _CONTENT_TYPE + embed(_DATA, [answer])

    return envelope

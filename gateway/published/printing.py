"""A file's descriptor -> the .proto text that compiles to it.

Owns the writing of proto2 and proto3. What it cannot write (groups, editions) it refuses.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf import descriptor_pb2, text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_TYPES = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}
_LABELS = {1: "optional ", 2: "required ", 3: "repeated "}
_WIDTH = 96
_SPLIT_AT = 90
_LAST_NUMBER = 536870912
Field = descriptor_pb2.FieldDescriptorProto


def text_of(
    file: descriptor_pb2.FileDescriptorProto, comments: Mapping[str, str] | None = None
) -> str:
    """The file as text, with comments by full name.

    Raises:
        ValueError: it has something that cannot be written.
    """
    return "\n".join(_Printer(file, comments or {}).lines()) + "\n"


class _Printer:
    def __init__(
        self, file: descriptor_pb2.FileDescriptorProto, comments: Mapping[str, str]
    ) -> None:
        if file.syntax not in ("", "proto2", "proto3"):
            raise ValueError(f"{file.name}: {file.syntax} cannot be written")
        self._file = file
        self._comments = comments
        self._proto3 = file.syntax == "proto3"

    def lines(self) -> Iterator[str]:
        file = self._file
        yield from self._comment(file.name, "")
        yield f'syntax = "{file.syntax or "proto2"}";'
        yield from ("", f"package {file.package};")
        yield from [""] if file.dependency else []
        for index, name in enumerate(file.dependency):
            public = "public " if index in file.public_dependency else ""
            yield f'import {public}"{name}";'
        options = [f"option {each};" for each in _options(file.options)]
        yield from ["", *options] if options else []
        for service in file.service:
            yield ""
            yield from self._service(service)
        yield from self._extensions(file.extension, "")
        for message in file.message_type:
            yield ""
            yield from self._message(message, file.package, "")
        for enum in file.enum_type:
            yield ""
            yield from self._enum(enum, file.package, "")

    def _comment(self, name: str, indent: str) -> Iterator[str]:
        for paragraph_index, paragraph in enumerate(self._comments.get(name, "").split("\n\n")):
            if paragraph_index:
                yield f"{indent}//"
            for line in textwrap.wrap(paragraph, _WIDTH - len(indent), break_long_words=False):
                yield f"{indent}// {line}"

    def _service(self, service: descriptor_pb2.ServiceDescriptorProto) -> Iterator[str]:
        name = f"{self._file.package}.{service.name}"
        yield from self._comment(name, "")
        yield f"service {service.name} {{"
        yield from (f"  option {each};" for each in _options(service.options))
        for index, method in enumerate(service.method):
            yield from [""] if index else []
            yield from self._comment(f"{name}.{method.name}", "  ")
            takes = _stream(method.client_streaming) + self._called(method.input_type)
            gives = _stream(method.server_streaming) + self._called(method.output_type)
            head = f"  rpc {method.name}({takes}) returns ({gives})"
            options = [f"    option {each};" for each in _options(method.options)]
            yield from [f"{head} {{", *options, "  }"] if options else [f"{head};"]
        yield "}"

    def _message(
        self, message: descriptor_pb2.DescriptorProto, outer: str, indent: str
    ) -> Iterator[str]:
        name, inside = f"{outer}.{message.name}", f"{indent}  "
        yield from self._comment(name, indent)
        if not message.ByteSize() - 2 - len(message.name):
            yield f"{indent}message {message.name} {{}}"
            return
        yield f"{indent}message {message.name} {{"
        yield from (f"{inside}option {each};" for each in _options(message.options))
        yield from _reserved(message.reserved_range, message.reserved_name, inside, 1)
        for extensible in message.extension_range:
            last = "max" if extensible.end == _LAST_NUMBER else extensible.end - 1
            yield f"{inside}extensions {extensible.start} to {last};"
        maps = {f".{name}.{m.name}": m for m in message.nested_type if m.options.map_entry}
        for nested in message.nested_type:
            if not nested.options.map_entry:
                yield from self._message(nested, name, inside)
        for enum in message.enum_type:
            yield from self._enum(enum, name, inside)
        yield from self._fields(message, name, maps, inside)
        yield from self._extensions(message.extension, inside)
        yield f"{indent}}}"

    def _fields(
        self,
        message: descriptor_pb2.DescriptorProto,
        name: str,
        maps: Mapping[str, descriptor_pb2.DescriptorProto],
        indent: str,
    ) -> Iterator[str]:
        begun: set[int] = set()
        for field in message.field:
            if not field.HasField("oneof_index") or field.proto3_optional:
                yield from self._field(field, name, maps, indent)
            elif field.oneof_index not in begun:
                begun.add(field.oneof_index)
                oneof = message.oneof_decl[field.oneof_index]
                yield f"{indent}oneof {oneof.name} {{"
                yield from (f"{indent}  option {each};" for each in _options(oneof.options))
                for each in message.field:
                    if each.HasField("oneof_index") and each.oneof_index == field.oneof_index:
                        yield from self._field(each, name, maps, f"{indent}  ", bare=True)
                yield f"{indent}}}"

    def _field(
        self,
        field: Field,
        outer: str,
        maps: Mapping[str, descriptor_pb2.DescriptorProto],
        indent: str,
        *,
        bare: bool = False,
    ) -> Iterator[str]:
        yield from self._comment(f"{outer}.{field.name}", indent)
        label = "" if bare else self._label(field)
        kind = self._kind(field)
        if field.type_name in maps:
            key, value = maps[field.type_name].field
            label, kind = "", f"map<{self._kind(key)}, {self._kind(value)}>"
        options = list(_options(field.options))
        if field.HasField("default_value"):
            options.insert(0, f"default = {_default(field)}")
        head = f"{indent}{label}{kind} {field.name} = {field.number}"
        yield from _with_options(head, options, indent)

    def _kind(self, field: Field) -> str:
        if field.type == Field.TYPE_GROUP:
            raise ValueError(f"{field.name}: a group cannot be written")
        return self._called(field.type_name) if field.type_name else _TYPES[field.type]

    def _called(self, kind: str) -> str:
        """A type's name, short where it is this package's."""
        return kind.removeprefix(f".{self._file.package}.").removeprefix(".")

    def _label(self, field: Field) -> str:
        if self._proto3 and field.label == Field.LABEL_OPTIONAL:
            return "optional " if field.proto3_optional else ""
        return _LABELS[field.label]

    def _extensions(self, fields: Iterable[Field], indent: str) -> Iterator[str]:
        for field in fields:
            yield from ("", f"{indent}extend {self._called(field.extendee)} {{")
            yield from self._field(field, self._file.package, {}, f"{indent}  ")
            yield f"{indent}}}"

    def _enum(
        self, enum: descriptor_pb2.EnumDescriptorProto, outer: str, indent: str
    ) -> Iterator[str]:
        name = f"{outer}.{enum.name}"
        yield from self._comment(name, indent)
        yield f"{indent}enum {enum.name} {{"
        yield from (f"{indent}  option {each};" for each in _options(enum.options))
        # The end of an enum's range is in it, unlike a message's.
        yield from _reserved(enum.reserved_range, enum.reserved_name, f"{indent}  ", 0)
        for value in enum.value:
            yield from self._comment(f"{name}.{value.name}", f"{indent}  ")
            head = f"{indent}  {value.name} = {value.number}"
            yield from _with_options(head, list(_options(value.options)), f"{indent}  ")
        yield f"{indent}}}"


def _with_options(head: str, options: list[str], indent: str) -> Iterator[str]:
    if not options:
        yield f"{head};"
        return
    line = f"{head} [{', '.join(options)}];"
    if len(line) <= _SPLIT_AT:
        yield line
        return
    yield f"{head} ["
    for index, option in enumerate(options):
        yield f"{indent}  {option}{',' if index < len(options) - 1 else ''}"
    yield f"{indent}];"


def _stream(streams: object) -> str:
    return "stream " if streams else ""


def _default(field: Field) -> str:
    return (
        json.dumps(field.default_value) if field.type == Field.TYPE_STRING else field.default_value
    )


def _reserved(
    ranges: Iterable[Any], names: Iterable[str], indent: str, past_the_end: int
) -> Iterator[str]:
    for each in ranges:
        last = each.end - past_the_end
        yield f"{indent}reserved {each.start}{f' to {last}' if last != each.start else ''};"
    if quoted := ", ".join(f'"{name}"' for name in names):
        yield f"{indent}reserved {quoted};"


def _options(options: Message) -> Iterator[str]:
    """`name = value` for each option that is set, extensions included."""
    for field, value in options.ListFields():
        name = f"({field.full_name})" if field.is_extension else field.name
        if name == "map_entry":
            continue
        for each in value if field.is_repeated else [value]:
            yield f"{name} = {_value(field, each)}"


def _value(field: FieldDescriptor, value: Any) -> str:
    if field.message_type is not None:
        inside = text_format.MessageToString(value, as_one_line=True, as_utf8=True)
        return f"{{{inside.strip()}}}"
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)

"""What the contract's authors wrote beside each thing, by its full name.

Owns the reading of source positions. Words for tools (`buf:lint:…`) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from google.protobuf import descriptor_pb2

# Field numbers of descriptor.proto that a source position's path is made of.
_MESSAGE, _ENUM, _SERVICE, _SYNTAX = 4, 5, 6, 12
_IN_MESSAGE_FIELD, _IN_MESSAGE_NESTED, _IN_MESSAGE_ENUM = 2, 3, 4
_IN_ENUM_VALUE, _IN_SERVICE_METHOD = 2, 2
_FOR_TOOLS = ("buf:lint",)

Path = tuple[int, ...]


def comments(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> Mapping[str, str]:
    """Comments by full name; a file's own stands under its path, `palestra/…/sport.proto`.

    Paragraphs are apart by an empty line, and have no other line breaks.
    """
    found: dict[str, str] = {}
    for file in files:
        names = dict(_names(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            text = _text(location.leading_comments)
            if name and text:
                found[name] = text
    return MappingProxyType(found)


def first_sentence(text: str) -> str:
    """The first sentence without its full stop, for titles."""
    first = text.split("\n\n", 1)[0]
    return first.split(". ", 1)[0].split("; ", 1)[0].rstrip(".:")


def _text(comment: str) -> str:
    lines = (line.strip() for line in comment.splitlines())
    kept = [line for line in lines if not line.startswith(_FOR_TOOLS)]
    paragraphs = "\n".join(kept).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs).strip()


def _names(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[Path, str]]:
    yield (_SYNTAX,), file.name
    for index, message in enumerate(file.message_type):
        yield from _of_message(message, (_MESSAGE, index), file.package)
    for index, enum in enumerate(file.enum_type):
        yield from _of_enum(enum, (_ENUM, index), file.package)
    for index, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (_SERVICE, index), name
        for place, method in enumerate(service.method):
            yield (_SERVICE, index, _IN_SERVICE_METHOD, place), f"{name}.{method.name}"


def _of_message(
    message: descriptor_pb2.DescriptorProto, path: Sequence[int], outer: str
) -> Iterator[tuple[Path, str]]:
    name = f"{outer}.{message.name}"
    yield tuple(path), name
    for index, field in enumerate(message.field):
        yield (*path, _IN_MESSAGE_FIELD, index), f"{name}.{field.name}"
    for index, nested in enumerate(message.nested_type):
        yield from _of_message(nested, (*path, _IN_MESSAGE_NESTED, index), name)
    for index, enum in enumerate(message.enum_type):
        yield from _of_enum(enum, (*path, _IN_MESSAGE_ENUM, index), name)


def _of_enum(
    enum: descriptor_pb2.EnumDescriptorProto, path: Sequence[int], outer: str
) -> Iterator[tuple[Path, str]]:
    name = f"{outer}.{enum.name}"
    yield tuple(path), name
    for index, value in enumerate(enum.value):
        # In protobuf a value's name is its enum's sibling; here each enum has its own.
        yield (*path, _IN_ENUM_VALUE, index), f"{name}.{value.name}"

"""What of the compiled contract is public.

Owns the pruning: from the methods that people may call to all that these hold, and the
error reasons that they answer with; options of our own are taken out everywhere. An
error's meaning, which stands in such an option, becomes a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# Imported for their effect: an option that is not known could not be printed.
from buf.validate import validate_pb2  # noqa: F401
from google.api import annotations_pb2, field_behavior_pb2  # noqa: F401
from google.protobuf import descriptor_pb2

from gateway.openapi.comments import comments
from mesh import policy
from palestra.mesh.v1 import policy_pb2

_OURS = "palestra."
_REASONS = "ErrorReason"
# What an error carries, beside what the files import.
ERROR_DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
_OF_OPTIONS = {
    "google/api/annotations.proto": "google.api.http",
    "google/api/field_behavior.proto": "google.api.field_behavior",
    "buf/validate/validate.proto": "buf.validate",
}
File = descriptor_pb2.FileDescriptorProto
Message = descriptor_pb2.DescriptorProto


@dataclass(frozen=True, slots=True)
class Published:
    """The public files, and what is said in them."""

    files: tuple[File, ...]
    """Ours alone, without source positions."""
    imports: tuple[File, ...]
    """What they need of others', `google.protobuf` not among them."""
    comments: Mapping[str, str]
    """By full name; a file's own by its path."""


def published(descriptor_set: bytes) -> Published:
    """Takes out of a compiled contract what is not for everybody."""
    whole = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    said = dict(comments(whole.file))
    ours = [file for file in whole.file if file.package.startswith(_OURS)]
    for file in ours:
        file.ClearField("source_code_info")
        said |= _meanings(file)
        _without_services(file)
    kept = _reached(ours)
    for file in ours:
        _prune(file, kept)
        _strip(file)
        _for_java(file)
    left = [file for file in ours if file.service or file.message_type or file.enum_type]
    homes = {name: file.name for file in whole.file for name in _names(file)}
    for file in left:
        _import_what_is_used(file, homes)
    return Published(tuple(left), tuple(_imports(whole.file, left)), said)


def _without_services(file: File) -> None:
    for service in list(file.service):
        methods = [m for m in service.method if _is_public(m)]
        del service.method[:]
        service.method.extend(methods)
        if not methods:
            file.service.remove(service)


def _is_public(method: descriptor_pb2.MethodDescriptorProto) -> bool:
    return bool(method.options.Extensions[policy_pb2.policy].access != policy.SERVICE)


def _meanings(file: File) -> dict[str, str]:
    """What each error reason means, for its comment."""
    found = {}
    for enum in file.enum_type:
        for value in enum.value:
            meaning = value.options.Extensions[policy_pb2.error]
            if meaning.en:
                code = policy.code_name(meaning.code)
                text = f"{code}. {meaning.en} {meaning.ru}"
                found[f"{file.package}.{enum.name}.{value.name}"] = text
    return found


def _reached(files: Iterable[File]) -> set[str]:
    """The full names of the messages and enums that the public methods need."""
    messages = {f"{f.package}.{m.name}": m for f in files for m in f.message_type}
    enums = {f"{f.package}.{e.name}" for f in files for e in f.enum_type}
    waiting = [
        name.lstrip(".")
        for file in files
        for service in file.service
        for method in service.method
        for name in (method.input_type, method.output_type)
    ]
    mesh = {"palestra.mesh.v1", *(file.package for file in files if file.service)}
    kept = {f"{package}.{_REASONS}" for package in mesh} & enums
    while waiting:
        name = waiting.pop()
        top = _top(name, messages.keys() | enums)
        if top and top not in kept:
            kept.add(top)
            if top in messages:
                waiting += [used.lstrip(".") for used in _used(messages[top])]
    return kept


def _top(name: str, known: Iterable[str]) -> str:
    """The outermost message that a type stands in; empty where it is not ours."""
    found: str = next((each for each in known if name == each or name.startswith(f"{each}.")), "")
    return found


def _used(message: Message) -> Iterator[str]:
    for field in message.field:
        if field.type_name:
            yield field.type_name
    for nested in message.nested_type:
        yield from _used(nested)


def _prune(file: File, kept: set[str]) -> None:
    messages = [m for m in file.message_type if f"{file.package}.{m.name}" in kept]
    enums = [e for e in file.enum_type if f"{file.package}.{e.name}" in kept]
    for field, left in (("message_type", messages), ("enum_type", enums)):
        file.ClearField(field)  # type: ignore[arg-type]
        getattr(file, field).extend(left)
    # What else a file of ours extends are options of the mesh's own.
    file.ClearField("extension")


def _strip(file: File) -> None:
    """Takes out our own options; where none is left, the place for them too."""
    for message in _messages(file.message_type):
        for field in message.field:
            field.options.ClearExtension(policy_pb2.personal)
            _tidy(field)
    for enum in [*file.enum_type, *(e for m in _messages(file.message_type) for e in m.enum_type)]:
        for value in enum.value:
            value.options.ClearExtension(policy_pb2.error)
            _tidy(value)
    for service in file.service:
        for method in service.method:
            method.options.ClearExtension(policy_pb2.policy)
            _tidy(method)


def _for_java(file: File) -> None:
    """As AIP-191 has it: without these each message would stand inside a class of its file's."""
    file.options.java_package = f"com.{file.package}"
    file.options.java_multiple_files = True


def _tidy(
    holder: descriptor_pb2.FieldDescriptorProto
    | descriptor_pb2.EnumValueDescriptorProto
    | descriptor_pb2.MethodDescriptorProto,
) -> None:
    if not holder.options.ByteSize():
        holder.ClearField("options")


def _messages(messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        yield message
        yield from _messages(message.nested_type)


def _names(file: File) -> Iterator[str]:
    for message in file.message_type:
        yield f"{file.package}.{message.name}"
    for enum in file.enum_type:
        yield f"{file.package}.{enum.name}"


def _import_what_is_used(file: File, homes: Mapping[str, str]) -> None:
    types = [used for message in file.message_type for used in _used(message)]
    for service in file.service:
        for method in service.method:
            types += [method.input_type, method.output_type]
    needed = {homes[_top(used.lstrip("."), homes)] for used in types}
    options = str(file)
    needed |= {path for path, option in _OF_OPTIONS.items() if f"[{option}" in options}
    del file.dependency[:]
    file.dependency.extend(sorted(needed - {file.name}))


def _imports(every: Iterable[File], ours: Iterable[File]) -> Iterator[File]:
    by_name = {file.name: file for file in every}
    waiting, seen = [name for file in ours for name in file.dependency], set()
    waiting += ERROR_DETAILS
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith((_OURS.replace(".", "/"), "google/protobuf/")):
            continue
        seen.add(name)
        waiting += by_name[name].dependency
    yield from (by_name[name] for name in sorted(seen))

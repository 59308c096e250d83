"""What is given away compiles to the public part of the contract, and shows nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from gateway.published import published, sources
from mesh import policy
from palestra.mesh.v1 import policy_pb2
from scripts import openapi

CONTRACT = policy.load()
PUBLIC = published(policy.DESCRIPTOR_SET.read_bytes())
SOURCES = sources(PUBLIC)
COMPILED = descriptor_pb2.FileDescriptorSet.FromString(openapi.compiled(SOURCES))
BY_NAME = {file.name: file for file in COMPILED.file}


def options_within(message: Message) -> Iterator[tuple[str, Any]]:
    """The extensions set anywhere below, by full name."""
    for field, value in message.ListFields():
        if field.is_extension:
            yield field.full_name, value
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                yield from options_within(each)


@pytest.mark.parametrize("name", [file.name for file in (*PUBLIC.files, *PUBLIC.imports)])
def test_the_text_compiles_to_what_it_was_written_from(name: str) -> None:
    written = next(f for f in (*PUBLIC.files, *PUBLIC.imports) if f.name == name)
    expected, compiled = type(written)(), type(written)()
    expected.CopyFrom(written)
    compiled.CopyFrom(BY_NAME[name])
    for each in (expected, compiled):
        each.ClearField("source_code_info")
    assert compiled == expected


def test_every_method_for_people_is_there_and_no_other() -> None:
    said = {
        f"/{file.package}.{service.name}/{method.name}"
        for file in COMPILED.file
        for service in file.service
        for method in service.method
    }
    public = {p for p, m in CONTRACT.methods.items() if m.policy.access != policy.SERVICE}
    assert said == public
    assert public < CONTRACT.methods.keys()


def test_no_option_of_the_meshs_own_is_left() -> None:
    assert policy_pb2.DESCRIPTOR.name not in SOURCES
    found = {name for file in COMPILED.file for name, _ in options_within(file)}
    assert {"google.api.http", "google.api.field_behavior", "buf.validate.field"} <= found
    assert not [name for name in found if name.startswith("palestra.")]
    for text in SOURCES.values():
        assert b"palestra.mesh.v1.policy" not in text
        assert b"ACCESS_" not in text


def test_messages_that_only_services_exchange_are_not_there() -> None:
    messages = {f"{f.package}.{m.name}" for f in COMPILED.file for m in f.message_type}
    assert "palestra.training.v1.Batch" in messages
    for name in (
        "palestra.training.v1.IngestTelemetryRequest",
        "palestra.identity.v1.GetKeySetResponse",
        "palestra.identity.v1.UserRegistered",
        "palestra.mesh.v1.Event",
    ):
        assert name not in messages


def test_error_reasons_keep_their_words_as_comments() -> None:
    text = SOURCES["palestra/training/v1/errors.proto"].decode()
    assert "// NOT_FOUND. There is no such activity. Такой тренировки нет." in text
    assert "palestra/mesh/v1/errors.proto" in SOURCES


def test_authors_comments_are_kept() -> None:
    text = SOURCES["palestra/training/v1/activity_service.proto"].decode()
    assert "// What happens in a live activity, as it happens; ends with `ended`." in text
    assert "buf:lint" not in text


def test_what_an_error_carries_can_be_read() -> None:
    assert {"google/rpc/status.proto", "google/rpc/error_details.proto"} <= SOURCES.keys()

"""Errors on the wire: one ErrorInfo, the contract's code and words, and nothing unforeseen."""

from __future__ import annotations

from typing import ClassVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from mesh import policy
from mesh.runtime import errors
from mesh.runtime.errors import MeshError, Unavailable
from palestra.identity.v1 import errors_pb2 as identity_errors
from palestra.mesh.v1 import errors_pb2 as mesh_errors

MEANINGS = {meaning.reason: meaning for meaning in policy.package_meanings("palestra.identity.v1")}
MOST_TRAILER_BYTES = 8192
"""What gRPC takes of metadata by default; a longer status would be lost whole."""


class EmailTaken(Exception):
    reason: ClassVar[str] = "EMAIL_TAKEN"
    field = "email"
    retry_after_s = 1.5
    metadata: ClassVar[dict[str, str]] = {"since": "2020"}


class Unnamed(Exception):
    reason: ClassVar[str] = "NO_SUCH_REASON"


class CodeOf(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__("a secret of the inside")
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


def found(status: status_pb2.Status, kind: type[Message]) -> list[Message]:
    made = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            made.append(message)
    return made


def reason(error: BaseException) -> tuple[int, str, str]:
    status, meaning = errors.status_of(error, MEANINGS)
    (info,) = found(status, error_details_pb2.ErrorInfo)
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (meaning.reason, meaning.domain)
    return status.code, info.domain, info.reason


@pytest.mark.parametrize("name", mesh_errors.ErrorReason.keys()[1:])
def test_every_mesh_reason_becomes_its_status(name: str) -> None:
    short = name.removeprefix("ERROR_REASON_")
    code, domain, shown = reason(MeshError(short))
    assert (domain, shown) == ("mesh.palestra", short)
    assert code != 0


@pytest.mark.parametrize("name", identity_errors.ErrorReason.keys()[1:])
def test_every_reason_of_a_service_becomes_its_status(name: str) -> None:
    short = name.removeprefix("ERROR_REASON_")
    error = type("Refusal", (Exception,), {"reason": short})()
    assert reason(error) == (MEANINGS[short].code, "identity.palestra", short)


def test_a_domain_error_brings_its_field_its_delay_its_metadata_and_both_languages() -> None:
    status, _ = errors.status_of(EmailTaken("it is taken"), MEANINGS)
    (info,) = found(status, error_details_pb2.ErrorInfo)
    (bad,) = found(status, error_details_pb2.BadRequest)
    (retry,) = found(status, error_details_pb2.RetryInfo)
    words = found(status, error_details_pb2.LocalizedMessage)
    assert status.message == "it is taken"
    assert info.metadata == {"since": "2020"}  # type: ignore[attr-defined]
    assert bad.field_violations[0].field == "email"  # type: ignore[attr-defined]
    assert retry.retry_delay.ToMilliseconds() == 1500  # type: ignore[attr-defined]
    assert {each.locale for each in words} == {"en", "ru"}  # type: ignore[attr-defined]


def test_what_may_be_tried_again_says_when() -> None:
    status, _ = errors.status_of(Unavailable("the database does not answer"), {})
    (retry,) = found(status, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 500  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the password of the database is 'secret'"),
        KeyError("secret"),
        UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"),
        Unnamed("secret"),
        MeshError("NO_SUCH_REASON", "secret"),
        CodeOf(grpc.StatusCode.NOT_FOUND),
        CodeOf(grpc.StatusCode.PERMISSION_DENIED),
        RecursionError("secret"),
    ],
)
def test_what_nobody_foresaw_is_masked(error: Exception) -> None:
    assert reason(error) == (13, "mesh.palestra", "UNEXPECTED")
    assert b"secret" not in errors.status_of(error, MEANINGS)[0].SerializeToString()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (TimeoutError(), "DEADLINE_EXCEEDED"),
        (CodeOf(grpc.StatusCode.DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED"),
        (CodeOf(grpc.StatusCode.UNAVAILABLE), "UNAVAILABLE"),
        (CodeOf(grpc.StatusCode.RESOURCE_EXHAUSTED), "UNAVAILABLE"),
    ],
)
def test_being_late_and_being_away_are_said(error: Exception, shown: str) -> None:
    assert reason(error)[1:] == ("mesh.palestra", shown)


@given(st.integers(0, 100_000), st.sampled_from("aж🏃"), st.integers(0, 40))
def test_however_much_there_is_to_say_it_fits_into_a_trailer(
    length: int, character: str, violations: int
) -> None:
    text = character * length
    error = MeshError("INVALID_FIELD", text, violations=[(text, text)] * violations)
    status, _ = errors.status_of(error, {})
    # As it travels: the message percent-encoded, the details in base 64.
    encoded = sum(3 if byte > 0x7E else 1 for byte in status.message.encode())
    assert encoded + status.ByteSize() * 4 / 3 < MOST_TRAILER_BYTES
    assert reason(error)[2] == "INVALID_FIELD"

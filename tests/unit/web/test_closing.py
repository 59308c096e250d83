"""Close codes and reasons."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2, status_pb2

from gateway.web.telemetry import closing
from gateway.web.telemetry.frames import TooLarge
from mesh.runtime.errors import MeshError

CODES = {
    "INVALID_FIELD": 4400,
    "TOKEN_MISSING": 4401,
    "TOKEN_EXPIRED": 4401,
    "SCOPE_MISSING": 4403,
    "ETAG_MISMATCH": 4409,
    "OVERLOADED": 4429,
    "UNEXPECTED": 4500,
    "UNAVAILABLE": 4503,
    "DEADLINE_EXCEEDED": 4504,
}


@pytest.mark.parametrize(("reason", "code"), CODES.items())
def test_the_code_is_4000_and_the_http_status_of_the_error(reason: str, code: int) -> None:
    end = closing.of_error(MeshError(reason))
    assert (end.code, end.reason) == (code, reason)
    assert end.status is not None
    assert closing.of_status(end.status) == end


def test_every_code_of_grpc_has_one_that_a_close_frame_may_carry() -> None:
    for code in code_pb2.Code.values():
        if code != code_pb2.OK:
            assert 4400 <= closing.of_status(status_pb2.Status(code=code)).code <= 4599


def test_what_the_websocket_protocol_has_a_code_for_gets_that() -> None:
    assert closing.of_error(TooLarge(2_000_000)).code == 1009
    assert closing.of_restart().code == 1012
    assert closing.of_restart().reason == "UNAVAILABLE"


def test_an_unforeseen_error_is_masked() -> None:
    end = closing.of_error(RuntimeError("postgres://user:password@host"))
    assert (end.code, end.reason) == (4500, "UNEXPECTED")
    assert end.status is not None
    assert "postgres" not in str(end.status)


def test_a_status_without_a_reason_still_closes() -> None:
    assert closing.of_status(status_pb2.Status(code=code_pb2.ABORTED)).reason == ""

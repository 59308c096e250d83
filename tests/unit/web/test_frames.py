"""WebSocket frames: what is read, what is refused, how answers are written."""

from __future__ import annotations

import json

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.telemetry import frames
from gateway.web.telemetry.frames import LARGEST_FRAME, Kind
from mesh.runtime.errors import MeshError
from palestra.integration.v1 import telemetry_service_pb2 as pb

SESSION = "0b9a3c1e-7d55-4e6a-9d3f-1d2c3b4a5f60"


def parsed(frame: str | bytes) -> pb.StreamTelemetryRequest:
    return pb.StreamTelemetryRequest.FromString(frames.read(frame))


def test_json_is_the_canonical_mapping() -> None:
    said = {
        "batch": {
            "seq": "18446744073709551615",
            "firstTimeMs": "-5",
            "timeDeltasMs": "AAAAAA==",
            "columns": [{"channel": 3, "values": "-_8", "validity": "+/8="}],
        }
    }
    batch = parsed(json.dumps(said)).batch
    assert batch.seq == 2**64 - 1
    assert batch.first_time_ms == -5
    assert batch.time_deltas_ms == bytes(4)
    assert batch.columns[0].values == batch.columns[0].validity == b"\xfb\xff"


def test_names_as_the_contract_spells_them_are_taken_too() -> None:
    assert parsed('{"batch": {"time_deltas_ms": "AAAA"}}').batch.time_deltas_ms == bytes(3)


def test_binary_passes_as_it_came() -> None:
    opening = pb.StreamTelemetryRequest(open=pb.Open(session=SESSION, epoch=7))
    packed = opening.SerializeToString()
    # A field of tomorrow's contract, as proto has it.
    assert frames.read(packed + b"\xfa\x3f\x01x") == packed + b"\xfa\x3f\x01x"


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("", "not JSON"),
        ("garbage", "not JSON"),
        ('{"open": {}', "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 500 + "1" + "}" * 500, "no field named"),
        ('{"opened": {}}', 'no field named "opened"'),
        ('{"open": {"sesion": "x"}}', 'no field named "sesion" at "StreamTelemetryRequest.open"'),
        ('{"open": {}, "close": {}}', "oneof"),
        ('{"open": []}', "open: not an object"),
        ('{"open": ""}', "open: not an object"),
        ('{"batch": {"columns": {}}}', "batch.columns: not a list"),
        ('{"batch": {"columns": [[]]}}', "batch.columns: not an object"),
        ('{"open": {"epoch": -1}}', "epoch"),
        ('{"open": {"epoch": 1.5}}', "epoch"),
        ('{"open": {"epoch": "eleven"}}', "epoch"),
        ('{"open": {"description": {"sport": "SPORT_NAPPING"}}}', "SPORT_NAPPING"),
        ('{"open": {"description": {"startTime": "today"}}}', "startTime"),
        ('{"batch": {"timeDeltasMs": "§"}}', "batch.timeDeltasMs: not base64"),
        ('{"batch": {"timeDeltasMs": "AAAAA"}}', "batch.timeDeltasMs: not base64"),
        ('{"batch": {"columns": [{"values": "a b="}]}}', "batch.columns.values: not base64"),
        ('{"batch": {"seq": NaN}}', "not JSON"),
        (b"\xff\xff\xff", "no StreamTelemetryRequest"),
        (b"\x0a\x05ab", "no StreamTelemetryRequest"),
        (b'{"open": {}}', "no StreamTelemetryRequest"),
    ],
)
def test_what_is_no_message_is_refused_in_words(frame: str | bytes, words: str) -> None:
    with pytest.raises(MeshError) as refused:
        frames.read(frame)
    assert refused.value.reason == "INVALID_FIELD"
    assert words in refused.value.detail


@pytest.mark.parametrize("letter", ["x", b"x"])
def test_a_frame_has_a_bound(letter: str | bytes) -> None:
    with pytest.raises(frames.TooLarge, match=str(LARGEST_FRAME + 1)):
        frames.read(letter * (LARGEST_FRAME + 1))


def test_words_of_a_refusal_do_not_grow_with_the_frame() -> None:
    with pytest.raises(MeshError) as refused:
        frames.read(json.dumps({"x" * 100_000: 1}))
    assert len(refused.value.detail) <= 300


def test_an_answer_says_zero_and_leaves_out_what_is_not_there() -> None:
    answer = pb.StreamTelemetryResponse(flow=pb.Flow(window=0)).SerializeToString()
    assert frames.write(answer, Kind.JSON) == '{"flow":{"window":0}}'
    assert frames.write(answer, Kind.BINARY) == answer


@pytest.mark.parametrize("kind", list(Kind))
def test_the_last_frame_is_the_same_message_in_both_kinds(kind: Kind) -> None:
    status = status_pb2.Status(code=16, message="over")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="TOKEN_EXPIRED", domain="mesh"))
    frame = frames.error(status, kind)
    if isinstance(frame, bytes):
        assert pb.StreamTelemetryResponse.FromString(frame).error == status
    else:
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "TOKEN_EXPIRED",
            "domain": "mesh",
        }
        assert json.loads(frame) == {"error": {"code": 16, "message": "over", "details": [info]}}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["open", "batch", "close", "seq", "epoch", "description", "columns", "values"]
            )
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.one_of(st.text(), st.binary(), _JSON.map(json.dumps)))
def test_whatever_comes_is_a_message_or_refused_as_none(frame: str | bytes) -> None:
    try:
        packed = frames.read(frame)
    except MeshError as refused:
        assert refused.reason == "INVALID_FIELD"
    else:
        pb.StreamTelemetryRequest.FromString(packed)

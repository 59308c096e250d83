"""JSON that the service writes: what the edge would write, or only what a mask names."""

from __future__ import annotations

import json

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.field_mask_pb2 import FieldMask

from mesh import policy
from mesh.runtime import rendering
from mesh.runtime.errors import MeshError
from palestra.training.v1 import activity_pb2
from palestra.training.v1 import activity_service_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["ActivityService"]
RUN = activity_pb2.Activity(
    name="users/1/activities/2", title='Утро "у реки" \u2028 \U0001f3c3', sample_count=2**53 + 1
)
RUN.start_time.FromMilliseconds(1_790_000_000_123)


def data(packed: bytes) -> bytes:
    """What stands in an envelope."""
    body = HttpBody.FromString(packed)
    assert body.content_type == "application/json"
    return bytes(body.data)


def test_what_is_empty_is_said_what_is_not_measured_is_not() -> None:
    told = json.loads(rendering.json_of(RUN))
    assert told["title"] == RUN.title
    assert told["sampleCount"] == "9007199254740993"
    assert told["startTime"] == "2026-09-21T14:13:20.123Z"
    assert told["notes"] == ""
    assert told["state"] == "ACTIVITY_STATE_UNSPECIFIED"
    assert "clockOffsetMs" not in told
    assert "summary" not in told


def test_a_mask_leaves_what_it_names_even_where_that_is_empty() -> None:
    content = rendering.json_of(RUN)
    for mask, shown in ((["notes", "start_time"], {"notes", "startTime"}), (["summary"], set())):
        left = rendering.only(FieldMask(paths=mask), activity_pb2.Activity, content)
        assert set(json.loads(left)) == shown
    for everything in ([], ["*"]):
        left = rendering.only(FieldMask(paths=everything), activity_pb2.Activity, content)
        assert left == content


def test_a_mask_of_nothing_that_is_there_is_refused() -> None:
    with pytest.raises(MeshError) as refused:
        rendering.only(FieldMask(paths=["shoe_size"]), activity_pb2.Activity, b"{}")
    assert refused.value.violations[0][0] == "read_mask"


def test_stored_answers_are_joined_as_the_whole_would_be_written() -> None:
    whole = pb.ListActivitiesResponse(activities=[RUN, RUN], next_page_token="a+b/c=")
    for count, token in ((2, "a+b/c="), (0, "")):
        del whole.activities[count:]
        whole.next_page_token = token
        parts = [rendering.json_of(RUN)] * count
        assert rendering.joined("activities", parts, {"nextPageToken": token}) == (
            rendering.json_of(whole)
        )


def test_an_answer_is_enveloped_whatever_form_it_comes_in() -> None:
    envelope = rendering.envelope_of(policy.method_of(_SERVICE.methods_by_name["GetActivity"]))
    assert envelope is not None
    answer = pb.GetActivityResponse(activity=RUN)
    written = rendering.resource("activity", rendering.json_of(RUN), "7")
    for form in (answer, answer.SerializeToString(), written):
        assert data(envelope(form)) == rendering.json_of(answer)
    assert data(envelope(rendering.Json())) == b""


def test_a_method_that_the_edge_renders_has_no_envelope() -> None:
    method = policy.method_of(_SERVICE.methods_by_name["UpdateActivity"])
    assert rendering.envelope_of(method) is None

"""What the gate checks of a message, and what it need not look at."""

from __future__ import annotations

import pytest

from mesh.runtime import validation
from mesh.runtime.errors import MeshError
from palestra.training.v1 import (
    activity_service_pb2,
    telemetry_pb2,
    tracker_service_pb2,
)


@pytest.mark.parametrize(
    ("kind", "checked"),
    [
        (activity_service_pb2.GetActivityRequest, True),
        (telemetry_pb2.SessionDescription, True),
        (tracker_service_pb2.SessionFrame, True),
        (tracker_service_pb2.IngestTelemetryRequest, False),
        (telemetry_pb2.Batch, False),
        (activity_service_pb2.DeleteActivityResponse, False),
    ],
)
def test_a_message_is_looked_at_where_it_or_what_is_in_it_has_a_rule(
    kind: type[activity_service_pb2.GetActivityRequest], *, checked: bool
) -> None:
    assert validation.has_rules(kind.DESCRIPTOR) is checked


def test_a_rule_of_an_inner_message_is_kept_unless_the_outer_one_leaves_it_to_its_method() -> None:
    bad = telemetry_pb2.SessionDescription(utc_offset_s=10**6)
    frame = tracker_service_pb2.SessionFrame(open=bad)
    with pytest.raises(MeshError, match="utc_offset_s"):
        validation.check(frame)
    validation.check(tracker_service_pb2.IngestTelemetryRequest(frames=[frame]))

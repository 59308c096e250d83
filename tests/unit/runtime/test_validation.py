"""What the gate checks of a message, and what it need not look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from mesh import policy
from mesh.runtime import broken_rules, validation
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import app_service_pb2, client_pb2
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


def _why(message: Message) -> dict[str, str]:
    with pytest.raises(MeshError) as refused:
        validation.check(message)
    return dict(refused.value.violations)


def test_a_refusal_says_what_to_send_and_not_the_rule() -> None:
    app = client_pb2.App(
        display_name="x", redirect_uris=["https://a.example", "b" * 600], scopes=["profile.read"]
    )
    assert _why(app_service_pb2.CreateAppRequest(parent="users/Me", app=app)) == {
        "parent": "must be users/{id}, an id of small letters, digits and hyphens",
        "app.redirect_uris[1]": "must be at most 512 characters",
        "app.authentication": "must be one of CLIENT_AUTHENTICATION_NONE, "
        "CLIENT_AUTHENTICATION_SECRET, CLIENT_AUTHENTICATION_PRIVATE_KEY_JWT",
    }
    name = "users/me/activities/A"
    assert _why(activity_service_pb2.GetActivityRequest(name=name)) == {
        "name": "must be users/{id}/activities/{id}, an id of small letters, digits and hyphens"
    }


def _patterns(kind: Descriptor, seen: set[str]) -> Iterator[str]:
    seen.add(kind.full_name)
    for field in kind.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        for each in (rules.string, rules.repeated.items.string, rules.map.keys.string):
            if each.pattern:
                yield each.pattern
        if field.message_type is not None and field.message_type.full_name not in seen:
            yield from _patterns(field.message_type, seen)


def test_every_pattern_of_the_contract_is_told_in_words() -> None:
    kinds = [each.descriptor.input_type for each in policy.load().methods.values()]
    patterns = {pattern for kind in kinds for pattern in _patterns(kind, set())}
    assert len(patterns) > 20
    assert [each for each in patterns if not broken_rules.words_of_pattern(each)] == []

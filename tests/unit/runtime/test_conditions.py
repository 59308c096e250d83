"""ETags of REST answers, and what callers ask by them."""

from __future__ import annotations

from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from mesh import policy
from mesh.runtime import conditions
from mesh.runtime.conditions import Conditions
from mesh.runtime.errors import MeshError
from palestra.identity.v1 import auth_service_pb2, profile_service_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_pb2 import Activity

REST = {conditions.OVER_REST: "/v1/users/me"}


def method(name: str, service: Any = pb.DESCRIPTOR.services_by_name["ActivityService"]) -> Any:
    return policy.method_of(service.methods_by_name[name])


GET = conditions.answers_of(method("GetActivity"))
DOWNLOAD = conditions.answers_of(method("DownloadActivityStreams"))


class Trailers:
    """The context of a call, as far as trailers go."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.told = dict(metadata)


def told(
    response: Any, if_none_match: str = "", answers: Any = GET
) -> tuple[bytes, str, dict[str, str]]:
    """The answer, its tag and all trailers."""
    trailers = Trailers()
    answer = answers.told(response, Conditions(if_none_match=if_none_match), trailers)
    return answer, trailers.told[conditions.TAG_TRAILER], trailers.told


def activity(**fields: Any) -> pb.GetActivityResponse:
    return pb.GetActivityResponse(activity=Activity(name="users/1/activities/2", **fields))


def test_a_call_by_grpc_has_no_conditions() -> None:
    assert conditions.asked({"if-none-match": '"a"'}) is None
    assert conditions.asked({**REST, "if-none-match": '"a"'}) == Conditions(if_none_match='"a"')
    assert conditions.asked(REST) is conditions.NONE


def test_a_tag_is_of_what_is_answered_whatever_form_it_has() -> None:
    packed, tag, trailers = told(activity(etag="3", sample_count=1))
    assert told(packed)[:2] == (packed, tag)
    assert tag.startswith('"3.')
    assert conditions.UNCHANGED_TRAILER not in trailers
    # Its samples grow while it is live, its etag does not.
    assert told(activity(etag="3", sample_count=2))[1] != tag
    assert told(activity(etag="4", sample_count=1))[1].startswith('"4.')


@pytest.mark.parametrize("etag", ["", 'a"b', "a,b", "é", "a\r\nset-cookie: x"])
def test_an_etag_that_would_break_the_header_is_left_out(etag: str) -> None:
    _, tag, _ = told(activity(etag=etag))
    assert conditions._TAG.fullmatch(tag)
    assert "." not in tag


def test_a_body_that_the_service_renders_has_a_tag_as_well() -> None:
    one, two = (HttpBody(content_type="application/json", data=data) for data in (b"[1]", b"[2]"))
    _, tag, _ = told(one, answers=DOWNLOAD)
    assert told(two, answers=DOWNLOAD)[1] != tag
    assert told(one, tag, DOWNLOAD)[0] == b""


def test_who_has_the_answer_gets_nothing_but_its_tag() -> None:
    whole, tag, _ = told(activity(etag="1"))
    for asked in (tag, f"W/{tag}", f'"other", {tag} , "more"', "*"):
        answer, same, trailers = told(activity(etag="1"), asked)
        assert (answer, same) == (b"", tag)
        assert trailers[conditions.UNCHANGED_TRAILER]
    for asked in ('"other"', '""', '"1"'):
        answer, _, trailers = told(activity(etag="1"), asked)
        assert answer == whole
        assert conditions.UNCHANGED_TRAILER not in trailers


@pytest.mark.parametrize("asked", ["abc", '"a', '"a" "b"', '"a",', "W/a", '"' + "x" * 3000 + '"'])
def test_what_is_no_list_of_tags_is_refused(asked: str) -> None:
    with pytest.raises(MeshError, match="if-none-match") as refused:
        told(activity(etag="1"), asked)
    assert refused.value.reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("max_age_s", "shared", "said"),
    [
        (0, False, "private, no-cache"),
        (60, False, "private, max-age=60, must-revalidate"),
        (60, True, "public, max-age=60, must-revalidate"),
    ],
)
def test_the_contract_says_how_long_and_for_whom(max_age_s: int, shared: bool, said: str) -> None:
    changed = method("GetActivity")
    own = type(changed.policy)()
    own.CopyFrom(changed.policy)
    own.cache.max_age_s, own.cache.shared = max_age_s, shared
    made = conditions.Answers(policy.Method(changed.descriptor, own, changed.http, changed.domain))
    assert told(activity(), answers=made)[2][conditions.CONTROL_TRAILER] == said


def test_only_what_the_contract_lets_be_kept_has_tags() -> None:
    auth = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
    assert conditions.answers_of(method("Login", auth)) is None
    assert conditions.answers_of(method("GetActivityStreams")) is None
    assert conditions.answers_of(method("WatchActivity")) is None


def test_if_match_is_the_etag_of_the_request() -> None:
    _, tag, _ = told(activity(etag="5"))
    delete, update = pb.DeleteActivityRequest(name="x"), pb.UpdateActivityRequest()
    for sent in (tag, '"5"', f"W/{tag}"):
        delete.ClearField("etag")
        requests("DeleteActivity").bind(delete, sent)
        assert delete.etag == "5"
    requests("UpdateActivity").bind(update, tag)
    assert update.activity.etag == "5"
    requests("UpdateActivity").bind(update, tag)


def test_if_match_with_a_star_asks_for_nothing() -> None:
    delete = pb.DeleteActivityRequest(name="x")
    requests("DeleteActivity").bind(delete, "*")
    assert delete.etag == ""


@pytest.mark.parametrize("sent", ['"1", "2"', "1", '"6"', ""])
def test_an_if_match_that_cannot_be_kept_is_refused(sent: str) -> None:
    delete = pb.DeleteActivityRequest(name="x", etag="5")
    with pytest.raises(MeshError) as refused:
        requests("DeleteActivity").bind(delete, sent)
    assert refused.value.reason == "INVALID_FIELD"
    assert delete.etag == "5"


def test_a_condition_on_what_knows_no_etag_is_refused_not_passed_over() -> None:
    auth = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
    register = conditions.requests_of(method("Register", auth))
    assert register is not None
    with pytest.raises(MeshError, match="knows no etag"):
        register.bind(auth_service_pb2.RegisterRequest(), '"1"')


def test_reading_has_no_if_match() -> None:
    profiles = profile_service_pb2.DESCRIPTOR.services_by_name["ProfileService"]
    assert conditions.requests_of(method("GetProfile", profiles)) is None


def requests(name: str) -> conditions.Requests:
    found = conditions.requests_of(method(name))
    assert found is not None
    return found

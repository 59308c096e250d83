"""Turns of the discovery protocol, with no wire in between."""

from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.extensions.filters.http.grpc_web.v3 import GrpcWeb
from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryRequest
from envoy_data_plane.google.rpc import Status

from mesh.control import wire
from mesh.control.record import Record
from mesh.control.session import Session
from mesh.control.snapshot import Resources, Snapshot
from tests.support.snapshots import take


def snapshot(*clusters: str, filters: tuple[str, ...] = ()) -> Snapshot:
    packed = wire.pack(GrpcWeb())
    resources = Resources(
        listeners=[],
        routes=[],
        clusters=[Cluster(name=name) for name in clusters],
        assignments=[],
        secrets=[],
        filters=[TypedExtensionConfig(name=name, typed_config=packed) for name in filters],
    )
    return take("edge", resources)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    made = Record(tmp_path / "control.json")
    made.publish({"edge": snapshot("a")})
    return made


@pytest.fixture
def session(record: Record) -> Session:
    return Session("edge", record)


def ask(
    nonce: str = "", error: str = "", *names: str, kind: str = wire.CLUSTERS
) -> DiscoveryRequest:
    return DiscoveryRequest(
        type_url=kind,
        response_nonce=nonce,
        resource_names=list(names),
        error_detail=Status(code=3, message=error) if error else None,
    )


def rejections(record: Record) -> list[dict[str, str]]:
    rejected = record.as_json()["rejected"]
    assert isinstance(rejected, list)
    return rejected


def test_the_same_content_has_the_same_version() -> None:
    assert snapshot("a", "b").version == snapshot("b", "a").version
    assert snapshot("a").version != snapshot("b").version


def test_the_first_request_is_answered_and_an_acknowledgement_is_not(session: Session) -> None:
    answer = session.on_request(ask())
    assert answer is not None
    assert len(answer.resources) == 1
    assert session.on_request(ask(answer.nonce)) is None
    assert session.on_change() == []


def test_a_change_is_pushed_once(session: Session, record: Record) -> None:
    first = session.on_request(ask())
    assert first
    session.on_request(ask(first.nonce))
    record.publish({"edge": snapshot("a", "b")})
    (pushed,) = session.on_change()
    assert len(pushed.resources) == 2
    assert session.on_change() == []


def test_a_request_about_an_overtaken_answer_is_ignored(session: Session, record: Record) -> None:
    first = session.on_request(ask())
    assert first
    record.publish({"edge": snapshot("b")})
    (second,) = session.on_change()
    # A late refusal of the first says nothing about the second.
    assert session.on_request(ask(first.nonce, "too late")) is None
    assert rejections(record) == []
    session.on_request(ask(second.nonce))
    assert record.serve("edge", wire.CLUSTERS).version == second.version_info


def test_what_was_refused_is_not_sent_again_and_the_last_good_is(
    session: Session, record: Record
) -> None:
    good = session.on_request(ask())
    assert good
    session.on_request(ask(good.nonce))
    record.publish({"edge": snapshot("bad")})
    (bad,) = session.on_change()
    assert session.on_request(ask(bad.nonce, "no such thing")) is None
    assert session.on_change() == []
    (rejected,) = rejections(record)
    assert rejected["version"] == bad.version_info
    assert rejected["error"] == "no such thing"
    late = Session("edge", record).on_request(ask())
    assert late
    assert late.version_info == good.version_info


def test_a_refusal_is_over_with_the_next_that_is_taken(session: Session, record: Record) -> None:
    good = session.on_request(ask())
    assert good
    session.on_request(ask(good.nonce))
    record.publish({"edge": snapshot("bad")})
    session.on_request(ask(session.on_change()[0].nonce, "no"))
    record.publish({"edge": snapshot("better")})
    (better,) = session.on_change()
    assert len(rejections(record)) == 1
    session.on_request(ask(better.nonce))
    assert rejections(record) == []


def test_a_refusal_is_over_when_the_old_is_published_again(
    session: Session, record: Record
) -> None:
    good = session.on_request(ask())
    assert good
    session.on_request(ask(good.nonce))
    record.publish({"edge": snapshot("bad")})
    session.on_request(ask(session.on_change()[0].nonce, "no"))
    record.publish({"edge": snapshot("a")})
    assert rejections(record) == []
    assert session.on_change() == []


def test_named_resources_are_served_by_name_and_grow_with_the_names(record: Record) -> None:
    record.publish({"edge": snapshot(filters=("x", "y"))})
    session = Session("edge", record)
    one = session.on_request(ask("", "", "x", "absent", kind=wire.FILTERS))
    assert one
    assert len(one.resources) == 1
    both = session.on_request(ask(one.nonce, "", "x", "y", kind=wire.FILTERS))
    assert both
    assert len(both.resources) == 2
    assert session.on_request(ask(both.nonce, "", "y", "x", kind=wire.FILTERS)) is None


def test_an_unknown_type_is_left_alone(session: Session) -> None:
    assert session.on_request(ask(kind="type.googleapis.com/nothing")) is None


def test_clusters_are_pushed_before_what_names_them(record: Record) -> None:
    session = Session("edge", record)
    for kind in (wire.FILTERS, wire.CLUSTERS):
        session.on_request(ask("", "", "x", kind=kind))
    record.publish({"edge": snapshot("a", "b", filters=("x",))})
    assert [each.type_url for each in session.on_change()] == [wire.CLUSTERS, wire.FILTERS]


def test_ready_only_when_all_is_taken_by_all_and_the_keys_are_known(
    session: Session, record: Record
) -> None:
    record.connected("edge", 1)
    record.keys(("k1",))
    answer = session.on_request(ask())
    assert answer
    assert record.as_json()["ready"] is False
    session.on_request(ask(answer.nonce))
    assert record.as_json()["ready"] is True
    record.connected("edge", -1)
    assert record.as_json()["ready"] is False


def test_changed_clusters_are_followed_by_the_endpoints_that_they_wait_for(record: Record) -> None:
    session = Session("edge", record)
    for kind in (wire.CLUSTERS, wire.ENDPOINTS):
        session.on_request(ask("", "", "a", kind=kind))
    record.publish({"edge": snapshot("a", "b")})
    pushed = [each.type_url for each in session.on_change()]
    assert pushed == [wire.CLUSTERS, wire.ENDPOINTS]

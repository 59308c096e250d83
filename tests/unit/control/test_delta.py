"""Turns of the incremental discovery protocol, with no wire in between."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.grpc_web.v3 import GrpcWeb
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
)
from envoy_data_plane.google.rpc import Status

from mesh.control import delta, wire
from mesh.control.delta import DeltaSession
from mesh.control.record import Record
from mesh.control.snapshot import Resources, Snapshot
from tests.support.snapshots import take


def snapshot(
    clusters: Mapping[str, str], filters: tuple[str, ...] = (), routes: tuple[str, ...] = ()
) -> Snapshot:
    """Clusters by name and what is said of each, with endpoints; the rest by name alone."""
    packed = wire.pack(GrpcWeb())
    resources = Resources(
        listeners=[],
        routes=[RouteConfiguration(name=name) for name in routes],
        clusters=[Cluster(name=name, alt_stat_name=said) for name, said in clusters.items()],
        assignments=[ClusterLoadAssignment(cluster_name=name) for name in clusters],
        secrets=[],
        filters=[TypedExtensionConfig(name=name, typed_config=packed) for name in filters],
    )
    return take("edge", resources)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    made = Record(tmp_path / "control.json")
    made.publish({"edge": snapshot({"a": "1", "b": "1"}, ("x", "y"))})
    return made


@pytest.fixture
def session(record: Record) -> DeltaSession:
    return DeltaSession("edge", record)


def ask(
    *names: str,
    kind: str = wire.CLUSTERS,
    nonce: str = "",
    error: str = "",
    drop: tuple[str, ...] = (),
    has: Mapping[str, str] | None = None,
) -> DeltaDiscoveryRequest:
    return DeltaDiscoveryRequest(
        type_url=kind,
        resource_names_subscribe=list(names),
        resource_names_unsubscribe=list(drop),
        initial_resource_versions=dict(has or {}),
        response_nonce=nonce,
        error_detail=Status(code=3, message=error) if error else None,
    )


def told(answers: list[DeltaDiscoveryResponse]) -> list[tuple[list[str], list[str]]]:
    """What each answer brings and what it takes away."""
    return [([one.name for one in each.resources], each.removed_resources) for each in answers]


def settled(session: DeltaSession, *requests: DeltaDiscoveryRequest) -> None:
    """Asks, and acknowledges whatever comes."""
    for request in requests:
        for answer in session.on_request(request):
            assert session.on_request(ask(kind=answer.type_url, nonce=answer.nonce)) == []


def versions(record: Record, kind: str = wire.CLUSTERS) -> dict[str, str]:
    return dict(record.serve("edge", kind).versions)


def rejections(record: Record) -> list[str]:
    rejected = record.as_json()["rejected"]
    assert isinstance(rejected, list)
    return [each["error"] for each in rejected]


def test_a_change_brings_what_changed_and_nothing_else(
    session: DeltaSession, record: Record
) -> None:
    settled(session, ask())
    record.publish({"edge": snapshot({"a": "1", "b": "2"})})
    assert told(session.on_change()) == [(["b"], [])]
    assert session.on_change() == []


def test_what_is_gone_is_taken_away_after_all_news(session: DeltaSession, record: Record) -> None:
    record.publish({"edge": snapshot({"a": "1", "b": "1"}, routes=("r",))})
    settled(session, ask(), ask("r", "s", kind=wire.ROUTES))
    record.publish({"edge": snapshot({"b": "2"}, routes=("s",))})
    pushed = session.on_change()
    assert told(pushed) == [(["b"], []), (["s"], []), ([], ["r"]), ([], ["a"])]
    for answer in pushed[:-1]:
        session.on_request(ask(kind=answer.type_url, nonce=answer.nonce))
    assert not record.taken_by("edge", wire.CLUSTERS)
    session.on_request(ask(nonce=pushed[-1].nonce))
    assert record.taken_by("edge", wire.CLUSTERS)


def test_who_comes_back_is_told_only_what_it_missed(record: Record) -> None:
    had = versions(record)
    record.publish({"edge": snapshot({"b": "2", "c": "1"})})
    answers = DeltaSession("edge", record).on_request(ask(has={**had, "b": had["b"]}))
    assert told(answers) == [(["b", "c"], []), ([], ["a"])]


def test_who_comes_back_with_everything_is_told_nothing_and_counts_as_having_it(
    session: DeltaSession, record: Record
) -> None:
    assert session.on_request(ask(has=versions(record))) == []
    assert record.taken_by("edge", wire.CLUSTERS)


def test_names_come_and_go(session: DeltaSession, record: Record) -> None:
    settled(session, ask("x", kind=wire.FILTERS))
    assert told(session.on_request(ask("y", kind=wire.FILTERS))) == [(["y"], [])]
    assert session.on_request(ask(kind=wire.FILTERS, drop=("y",))) == []
    record.publish({"edge": snapshot({"a": "1"}, ())})
    # What was given up is not even taken away.
    assert told(session.on_change()) == [([], ["x"])]


def test_who_asks_for_a_name_again_is_told_again(session: DeltaSession) -> None:
    settled(session, ask("x", kind=wire.FILTERS))
    settled(session, ask(kind=wire.FILTERS, drop=("x",)))
    assert told(session.on_request(ask("x", kind=wire.FILTERS))) == [(["x"], [])]


def test_a_name_that_leads_nowhere_is_said_once_to_be_absent_and_comes_when_it_is_there(
    session: DeltaSession, record: Record
) -> None:
    assert told(session.on_request(ask("z", kind=wire.FILTERS))) == [([], ["z"])]
    assert session.on_change() == []
    record.publish({"edge": snapshot({"a": "1"}, ("z",))})
    assert told(session.on_change()) == [(["z"], [])]


def test_everything_is_asked_for_by_silence_or_by_a_star(record: Record) -> None:
    silent = DeltaSession("edge", record).on_request(ask())
    starred = DeltaSession("edge", record).on_request(ask("*"))
    assert told(silent) == told(starred) == [(["a", "b"], [])]
    assert DeltaSession("edge", record).on_request(ask(kind=wire.FILTERS)) == []


def test_a_star_that_is_given_up_leaves_the_names(session: DeltaSession, record: Record) -> None:
    settled(session, ask("*", "a"))
    settled(session, ask(drop=("*",)))
    record.publish({"edge": snapshot({"a": "2", "b": "2"})})
    assert told(session.on_change()) == [(["a"], [])]


def test_a_name_given_up_beside_a_star_is_told_again(session: DeltaSession) -> None:
    settled(session, ask("*", "a"))
    assert told(session.on_request(ask(drop=("a",)))) == [(["a"], [])]


def test_whoever_asks_for_everything_of_nothing_is_answered(record: Record) -> None:
    record.publish({"edge": snapshot({})})
    assert told(DeltaSession("edge", record).on_request(ask())) == [([], [])]


def test_what_was_refused_is_replaced_by_the_last_good_and_not_sent_again(
    session: DeltaSession, record: Record
) -> None:
    settled(session, ask())
    good = versions(record)
    record.publish({"edge": snapshot({"a": "bad", "b": "1"})})
    (bad,) = session.on_change()
    (again,) = session.on_request(ask(nonce=bad.nonce, error="no such thing"))
    assert [(each.name, each.version) for each in again.resources] == [("a", good["a"])]
    session.on_request(ask(nonce=again.nonce))
    assert session.on_change() == []
    assert rejections(record) == ["no such thing"]
    record.publish({"edge": snapshot({"a": "better", "b": "1"})})
    (better,) = session.on_change()
    session.on_request(ask(nonce=better.nonce))
    assert rejections(record) == []


def test_what_is_refused_at_the_first_start_is_not_sent_for_ever(
    session: DeltaSession, record: Record
) -> None:
    (first,) = session.on_request(ask())
    assert session.on_request(ask(nonce=first.nonce, error="cannot bind")) == []
    assert session.on_change() == []
    assert not record.taken_by("edge", wire.CLUSTERS)
    assert rejections(record) == ["cannot bind"]


def test_a_late_answer_and_an_unknown_nonce_say_nothing_of_the_newest(
    session: DeltaSession, record: Record
) -> None:
    (first,) = session.on_request(ask())
    record.publish({"edge": snapshot({"a": "2", "b": "1"})})
    (second,) = session.on_change()
    assert session.on_request(ask(nonce=first.nonce)) == []
    assert session.on_request(ask(nonce="another stream's")) == []
    assert not record.taken_by("edge", wire.CLUSTERS)
    session.on_request(ask(nonce=second.nonce))
    assert record.taken_by("edge", wire.CLUSTERS)


def test_going_back_while_an_answer_is_owed_counts_with_that_answer(
    session: DeltaSession, record: Record
) -> None:
    settled(session, ask("x", kind=wire.FILTERS))
    record.publish({"edge": snapshot({}, ("x", "y", "z"))})
    # Nothing that this proxy asked for changed: it has the newest at once.
    assert session.on_change() == []
    assert record.taken_by("edge", wire.FILTERS)


def test_names_and_unanswered_pushes_are_bounded(
    session: DeltaSession, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "MAX_NAMES", 3)
    answers = session.on_request(ask(*(f"n{i}" for i in range(9)), kind=wire.FILTERS))
    assert len(answers[0].removed_resources) <= 3
    session.on_request(ask())
    for turn in range(delta.MAX_UNANSWERED + 9):
        record.publish({"edge": snapshot({"a": f"{turn}"})})
        session.on_change()
    owed = session._subscriptions[wire.CLUSTERS].unanswered
    assert len(owed) == delta.MAX_UNANSWERED


def test_a_changed_cluster_is_followed_by_the_endpoints_that_it_waits_for(
    session: DeltaSession, record: Record
) -> None:
    settled(session, ask(), ask("a", "b", kind=wire.ENDPOINTS))
    record.publish({"edge": snapshot({"a": "1", "b": "2"})})
    pushed = session.on_change()
    assert [each.type_url for each in pushed] == [wire.CLUSTERS, wire.ENDPOINTS]
    assert told(pushed) == [(["b"], []), (["b"], [])]
    assert session.on_change() == []


def test_a_cluster_that_changed_while_its_proxy_was_away_gets_its_endpoints(
    record: Record,
) -> None:
    clusters, endpoints = versions(record), versions(record, wire.ENDPOINTS)
    record.publish({"edge": snapshot({"a": "1", "b": "2"})})
    session = DeltaSession("edge", record)
    assert told(session.on_request(ask(has=clusters))) == [(["b"], [])]
    again = session.on_request(ask("a", "b", kind=wire.ENDPOINTS, has=endpoints))
    assert told(again) == [(["b"], [])]


def test_an_unknown_type_is_left_alone(session: DeltaSession) -> None:
    assert session.on_request(ask(kind="type.googleapis.com/nothing")) == []

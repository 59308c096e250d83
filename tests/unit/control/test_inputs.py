import json
import os
import re
from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.core.v3 import Locality

from mesh import catalog
from mesh.control import traffic
from mesh.control.app import SettingsError, settings_of
from mesh.control.bootstrap import edge_bootstrap, node_bootstrap
from mesh.control.files import Watched
from mesh.control.resources import endpoints, listeners
from mesh.control.resources.endpoints import EndpointsError, Host, parse, standing_at
from mesh.control.resources.localities import ranked


def test_endpoints_name_whatever_is_deployed_even_the_absent() -> None:
    parsed = parse('{"identity": ["/s/identity-0.sock", "/s/identity-0.sock"]}')
    only = {"identity": (Host("/s/identity-0.sock"),)}
    assert parsed == dict.fromkeys(catalog.DEPLOYED, ()) | only


def test_endpoints_name_subsets_and_where_processes_stand() -> None:
    parsed = parse('{"training:canary": [{"socket": "/s/c", "region": "eu", "zone": "a"}]}')
    assert parsed["training:canary"] == (Host("/s/c", "eu", "a"),)


def test_the_near_are_preferred_and_no_priority_is_skipped() -> None:
    near, region = Host("/near", "eu", "a"), Host("/region", "eu", "b")
    far, somewhere = Host("/far", "us", "a"), Host("/somewhere")
    own = standing_at("eu/a")
    assert ranked([[far, region, near]], own) == [[near], [region], [far]]
    assert ranked([[far, somewhere]], own) == [[somewhere], [far]]
    assert ranked([[far, near]], None) == [[far, near]]
    # A canary's hosts come before those of its stead, however far they are.
    assert ranked([[far], [near]], own) == [[far], [near]]
    found = endpoints.of_group("training", [far, near], own=own)
    assert [(each.priority, each.locality) for each in found.endpoints] == [
        (0, Locality(region="eu", zone="a")),
        (1, Locality(region="us", zone="a")),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"nobody": []}', "nobody"),
        ('{"identity": "x"}', "identity"),
        ('{"identity:": []}', "identity:"),
        ('{"web:canary": []}', "web:canary"),
        ('{"identity:Canary": []}', "Canary"),
        ('{"identity": [{"socket": "/x", "zone": 7}]}', "7"),
        ('{"identity": [{"socket": "/x", "rack": "7"}]}', "rack"),
        ('{"identity": ["x.sock"]}', "absolute"),
        (json.dumps({"identity": ["/" + "x" * 107]}), "107"),
        (json.dumps({"identity": ["/x"] * 257}), "256"),
    ],
)
def test_endpoints_that_cannot_be_followed_are_refused(text: str, words: str) -> None:
    with pytest.raises(EndpointsError, match=words):
        parse(text)


def test_a_file_is_read_when_it_comes_changes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    watched = Watched(path)
    assert watched.changed()
    assert watched.read() is None
    assert not watched.changed()
    path.write_text("1")
    assert watched.changed()
    assert watched.read() == b"1"
    assert not watched.changed()
    fresh = tmp_path / "fresh"
    fresh.write_text("2")
    os.utime(fresh, ns=(path.stat().st_mtime_ns, path.stat().st_mtime_ns))
    fresh.replace(path)
    assert watched.changed()
    path.unlink()
    assert watched.changed()


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SettingsError, match="PALESTRA_EDGE_PORT"):
        settings_of({"PALESTRA_STATE": "/s", "PALESTRA_EDGE_PORT": port})


def test_both_bootstraps_name_themselves_once_and_wait_for_control(tmp_path: Path) -> None:
    for name, document in (
        ("edge", edge_bootstrap(tmp_path, "127.0.0.1", 8080)),
        ("node", node_bootstrap(tmp_path)),
    ):
        assert document["node"]["id"] == name
        ads = document["dynamic_resources"]["ads_config"]
        assert ads["set_node_on_first_message_only"] is True
        assert document["dynamic_resources"]["lds_config"]["initial_fetch_timeout"] == "0s"
        assert document["admin"]["address"]["pipe"]["path"].endswith(f"{name}.admin.sock")
        json.dumps(document)


def test_origins_that_are_none_are_refused() -> None:
    told = {"PALESTRA_STATE": "/s", "PALESTRA_WEB_ORIGINS": "app.example"}
    with pytest.raises(SettingsError, match=r"PALESTRA_WEB_ORIGINS.*app\.example"):
        settings_of(told)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PALESTRA_TRUSTED_HOPS", "-1"),
        ("PALESTRA_TRUSTED_HOPS", "9"),
        ("PALESTRA_TRUSTED_HOPS", "one"),
        ("PALESTRA_CERTIFICATE_GRACE_PERCENT", "9"),
        ("PALESTRA_CERTIFICATE_GRACE_PERCENT", "91"),
        ("PALESTRA_LIMITER_TIMEOUT_MS", "0"),
        ("PALESTRA_LIMITER_TIMEOUT_MS", "1001"),
    ],
)
def test_a_number_out_of_bounds_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_of({"PALESTRA_STATE": "/s", name: text})


def test_by_default_nobody_stands_before_the_edge() -> None:
    told = settings_of({"PALESTRA_STATE": "/s"})
    assert (told.trusted_hops, told.limiter_timeout_s) == (0, 0.05)


def test_traffic_is_what_the_operator_wrote_and_faults_end() -> None:
    fault = {"service": "training", "percent": 10, "until_s": 100, "delay_ms": 200}
    routes = {"training": {"weights": {"next": 10}, "headers": {"anna": "unix:/s/anna.sock"}}}
    found = traffic.parse(json.dumps({"routes": routes, "faults": [fault]}))
    assert found.of("training").weights == {"next": 10.0}
    assert found.of("training").headers == {"anna": "unix:/s/anna.sock"}
    assert found.of("identity") == traffic.AHEAD
    assert found.at(99.9).faults == found.faults
    assert found.at(100).faults == ()
    assert found.faults[0].concerns("training", "/any")
    assert not found.faults[0].concerns("identity", "/any")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("[]", "not an object"),
        ('{"mirrors": {}}', "mirrors"),
        ('{"routes": {"chess": {}}}', "no service 'chess'"),
        ('{"routes": {"training": {"weights": {"a": 60, "b": 41}}}}', "more than 100 %"),
        ('{"routes": {"training": {"weights": {"a": 0}}}}', "0.01 to 100"),
        ('{"routes": {"training": {"weights": {"a": true}}}}', "0.01 to 100"),
        ('{"routes": {"training": {"weights": {"A!": 5}}}}', "neither a subset"),
        ('{"routes": {"training": {"headers": {"An na": "a"}}}}', "x-palestra-dev"),
        ('{"routes": {"training": {"headers": {"a": "unix:relative"}}}}', "absolute path"),
        ('{"faults": [{"service": "training", "until_s": 1}]}', "neither delays nor aborts"),
        ('{"faults": [{"service": "training", "delay_ms": 5}]}', "until_s"),
        ('{"faults": [{"service": "training", "until_s": 1, "delay_ms": 60001}]}', "60000"),
        ('{"faults": [{"service": "training", "until_s": 1, "abort": "TEAPOT"}]}', "TEAPOT"),
        ('{"faults": [{"service": "web", "until_s": 1, "delay_ms": 1}]}', "no service 'web'"),
        ('{"faults": [{"service": "training", "until_s": 1, "method": "Get"}]}', "no gRPC path"),
    ],
)
def test_traffic_that_cannot_be_meant_is_refused(document: str, words: str) -> None:
    with pytest.raises(traffic.TrafficError, match=words):
        traffic.parse(document)


def test_outside_may_say_three_of_our_headers_and_no_other() -> None:
    assert len(listeners.FROM_OUTSIDE) == 3
    ours = re.compile("|".join(listeners._all_but("x-palestra-", listeners.FROM_OUTSIDE)))
    for kept in listeners.FROM_OUTSIDE:
        assert not ours.fullmatch(kept)
        for cut in range(len("x-palestra-"), len(kept)):
            assert ours.fullmatch(kept[:cut]), kept[:cut]
        for other in (f"{kept}x", f"{kept}-", f"{kept[:-1]}x", f"{kept[:-1]}xx"):
            assert ours.fullmatch(other), other
    assert ours.fullmatch("x-palestra-mesh-proof")
    assert not ours.fullmatch("x-other")

import json
import os
from pathlib import Path

import pytest

from mesh.control.app import SettingsError, settings_of
from mesh.control.bootstrap import edge_bootstrap, node_bootstrap
from mesh.control.files import Watched
from mesh.control.resources.endpoints import EndpointsError, parse


def test_endpoints_name_every_service_even_the_absent() -> None:
    parsed = parse('{"identity": ["/s/identity-0.sock", "/s/identity-0.sock"]}')
    assert parsed == {"identity": ("/s/identity-0.sock",), "integration": (), "training": ()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"nobody": []}', "nobody"),
        ('{"identity": "x"}', "identity"),
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

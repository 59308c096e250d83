"""Where networks are, by a file that the test makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from mesh.runtime.settings import SettingsError
from services.identity.sessions.places import Place, Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    writer = MMDBWriter(6, "GeoLite2-City", ipv4_compatible=True)
    lyon = {"country": {"iso_code": "FR"}, "city": {"names": {"en": "Lyon", "ru": "Лион"}}}
    writer.insert_network(IPSet(["203.0.113.0/24"]), lyon)
    writer.insert_network(IPSet(["2001:db8:1::/48"]), {"country": {"iso_code": "RU"}})
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"registered_country": {"iso_code": "DE"}})
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"city": ["of another form"]})
    path = tmp_path / "places.mmdb"
    writer.to_db_file(str(path))
    return Places(path)


@pytest.mark.parametrize(
    ("network", "place"),
    [
        ("203.0.113.0/24", Place("FR", "Lyon")),
        ("2001:db8:1::/48", Place("RU", "")),
        ("198.51.100.0/24", Place("DE", "")),
        ("192.0.2.0/24", None),
        ("127.0.0.0/24", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_a_network_is_where_the_file_says(
    places: Places, network: str, place: Place | None
) -> None:
    assert places.of(network) == place


def test_without_a_file_nothing_is_known() -> None:
    assert Places().of("203.0.113.0/24") is None


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100])
def test_a_file_that_is_none_is_told_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "places.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"no places in .*places\.mmdb"):
        Places(path)

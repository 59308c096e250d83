"""Signed links: every part of one is signed, and each says how long and for what it is good."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from mesh.runtime.blobs import INCOMING, KEPT, BlobName, Download, KeyFile, Links, Upload
from mesh.runtime.blobs.names import parse
from mesh.runtime.blobs.secrets import SIGNS_AFTER_S, TURN_S
from mesh.runtime.errors import MeshError

NOW_S = 1_800_000_000
BLOB = BlobName(INCOMING, "identity", uuid.UUID(int=7), "avatar", "0198c0de")
UPLOAD = Upload(BLOB, NOW_S + 60, 1_000, ("image/png", "image/jpeg"), 900)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = float(NOW_S)

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(tmp_path: Path, clock: Clock) -> Links:
    return Links(KeyFile(tmp_path / "keys", clock), "https://palestra.example", clock)


def refusal(links: Links, verb: str, path: str, query: str) -> str:
    with pytest.raises(MeshError) as refused:
        links.read(verb, path, query)
    return refused.value.reason


def test_a_link_says_what_was_granted(links: Links) -> None:
    sent = urlsplit(links.upload(UPLOAD).uri)
    assert sent.netloc == "palestra.example"
    assert links.read("PUT", sent.path, sent.query) == UPLOAD
    read = Download(BLOB.within(KEPT), NOW_S + 9, "Väter & Söhne/\n.gpx", inline=True, fresh_s=5)
    made = urlsplit(links.download(read).uri)
    assert links.read("GET", made.path, made.query) == read


def test_a_change_of_any_part_is_refused(links: Links) -> None:
    sent = urlsplit(links.upload(UPLOAD).uri)
    told = dict(parse_qsl(sent.query))
    changes = {
        "expires": str(NOW_S + 61),
        "max-bytes": "1001",
        "size": "901",
        "types": "image/png,text/html",
        "use": "download",
        "key-id": "00000000",
        "signature": told["signature"][::-1],
    }
    assert set(changes) == set(told)
    for name, value in changes.items():
        for query in (told | {name: value}, {k: v for k, v in told.items() if k != name}):
            assert refusal(links, "PUT", sent.path, urlencode(query)) == "LINK_INVALID"
    for more in ("&name=a", f"&expires={NOW_S + 99}", "&", "&x"):
        assert refusal(links, "PUT", sent.path, sent.query + more) == "LINK_INVALID"
    for path in (sent.path + "0", sent.path.replace("avatar", "photos"), sent.path.upper(), "/"):
        assert refusal(links, "PUT", path, sent.query) == "LINK_INVALID"


def test_a_link_is_for_its_own_verbs(links: Links) -> None:
    sent, read = (
        urlsplit(grant.uri)
        for grant in (links.upload(UPLOAD), links.download(Download(BLOB, NOW_S + 60)))
    )
    assert refusal(links, "GET", sent.path, sent.query) == "LINK_INVALID"
    for verb in ("PUT", "PATCH", "DELETE", "POST"):
        assert refusal(links, verb, read.path, read.query) == "LINK_INVALID"


def test_a_link_ends_with_its_time_and_a_forged_one_is_not_told_so(
    links: Links, clock: Clock
) -> None:
    sent = urlsplit(links.upload(UPLOAD).uri)
    clock.now_s += 60
    assert refusal(links, "PUT", sent.path, sent.query) == "LINK_EXPIRED"
    assert refusal(links, "PUT", sent.path, sent.query + "0") == "LINK_INVALID"


@pytest.mark.parametrize("lives_s", [0, -1, TURN_S + 1])
def test_no_link_lives_longer_than_its_key(links: Links, lives_s: int) -> None:
    with pytest.raises(ValueError, match="a link lives"):
        links.download(Download(BLOB, NOW_S + lives_s))


def test_keys_turn_while_links_stay_good(tmp_path: Path, clock: Clock) -> None:
    services, edge = (KeyFile(tmp_path / "keys", clock) for _ in range(2))
    old = services.signing()
    services.turn()
    assert services.signing() == old
    clock.now_s += TURN_S
    edge.turn()
    # Known to all before it signs.
    fresh = edge.find(json.loads((tmp_path / "keys").read_text())["keys"][0]["id"])
    assert fresh is not None
    assert fresh != old
    assert KeyFile(tmp_path / "keys", clock).signing() == old
    clock.now_s += SIGNS_AFTER_S
    assert KeyFile(tmp_path / "keys", clock).signing() == fresh
    assert edge.find(old.id) == old
    clock.now_s += TURN_S
    edge.turn()
    assert edge.find(old.id) is None
    assert edge.find(fresh.id) == fresh


def test_a_key_made_meanwhile_is_found_at_once(tmp_path: Path, clock: Clock) -> None:
    services, edge = (KeyFile(tmp_path / "keys", clock) for _ in range(2))
    assert edge.find("00000000") is None
    made = services.signing()
    assert edge.find(made.id) == made


def test_the_keys_are_for_their_user_alone_and_not_printed(tmp_path: Path, clock: Clock) -> None:
    key = KeyFile(tmp_path / "keys", clock).signing()
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize(
    "path",
    [
        "/blobs/v1/secret/identity/00000000-0000-0000-0000-000000000007/avatar/a",
        "/blobs/v1/kept/../00000000-0000-0000-0000-000000000007/avatar/a",
        "/blobs/v1/kept/identity/00000000000000000000000000000007/avatar/a",
        "/blobs/v1/kept/identity/me/avatar/a",
        "/blobs/v1/kept/identity/00000000-0000-0000-0000-000000000007/avatar/..",
        "/blobs/v1/kept/identity/00000000-0000-0000-0000-000000000007/avatar/a/b",
        "/blobs/v1/kept/identity/00000000-0000-0000-0000-000000000007/avatar/",
        "kept/identity/00000000-0000-0000-0000-000000000007/avatar/a",
    ],
)
def test_what_is_no_name_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"blob|UUID"):
        parse(path)


def test_a_name_comes_back_as_itself() -> None:
    assert parse(BLOB.path) == BLOB

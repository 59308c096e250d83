"""A person's picture through the real edge: sent, set, shown to anybody, replaced, removed."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from palestra.identity.v1 import events_pb2
from tests.support import made_pictures
from tests.support.athletes import Athlete, Club
from tests.support.links import Desk
from tests.support.local_stack import until
from tests.support.rest_errors import refusal


@pytest.fixture
def athlete(athletes: Club) -> Athlete:
    return athletes.register()


def send(athlete: Athlete, rest: httpx.Client, picture: bytes) -> str:
    """Asks where to send, and sends; the upload's id."""
    path = f"/v1/{athlete.user}/avatarUploads"
    grant = athlete.rest.post(path, json={"sizeBytes": len(picture)}).json()
    assert grant["uploadUri"].startswith(athlete.stack.rest_url)
    answer = rest.put(grant["uploadUri"], content=picture)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    found: str = grant["uploadId"]
    return found


def set_avatar(athlete: Athlete, upload: str, etag: str = "") -> httpx.Response:
    told = {"uploadId": upload, "etag": etag}
    return athlete.rest.post(f"/v1/{athlete.user}:setAvatar", json=told)


def profile(athlete: Athlete) -> dict[str, Any]:
    found: dict[str, Any] = athlete.get("users/me")["profile"]
    return found


def test_a_picture_is_shown_to_anybody_and_tells_nothing_else(
    athlete: Athlete, rest: httpx.Client, desk: Desk
) -> None:
    before = profile(athlete)
    assert before["avatarUri"] == ""
    done = set_avatar(athlete, send(athlete, rest, made_pictures.jpeg()))
    assert done.status_code == httpx.codes.OK, done.text
    now = profile(athlete)
    assert done.json()["profile"] == now
    assert now["etag"] != before["etag"]
    for name, size_px in (("avatarUri", 512), ("avatarSmallUri", 128)):
        answer = rest.get(now[name])
        assert answer.status_code == httpx.codes.OK
        assert answer.headers["content-type"] == "image/webp"
        assert answer.headers["content-disposition"] == "inline"
        image = Image.open(io.BytesIO(answer.content))
        assert image.size == (size_px, size_px)
        assert not image.getexif().get_ifd(0x8825)
        assert made_pictures.CAMERA.encode() not in answer.content
    # What was sent, with the place in it, is nowhere any more.
    objects = desk.stack.places.blobs / "objects"
    left = [path for path in objects.rglob("*") if path.is_file() and athlete.user[6:] in str(path)]
    assert sorted(path.suffix for path in left) == [".webp", ".webp"]


def test_others_are_told(athlete: Athlete, rest: httpx.Client) -> None:
    assert set_avatar(athlete, send(athlete, rest, made_pictures.png())).status_code == 200
    path = urlsplit(profile(athlete)["avatarUri"]).path
    query = "SELECT payload FROM identity.outbox WHERE key = %s ORDER BY key_version DESC LIMIT 1"
    with athlete.stack.database() as database:
        row = database.execute(query, (athlete.user,)).fetchone()
    assert row is not None
    assert events_pb2.ProfileUpdated.FromString(bytes(row[0])).card.avatar_uri == path


def test_another_picture_takes_the_place_of_the_first(athlete: Athlete, rest: httpx.Client) -> None:
    assert set_avatar(athlete, send(athlete, rest, made_pictures.jpeg())).status_code == 200
    first = profile(athlete)
    stale = set_avatar(athlete, send(athlete, rest, made_pictures.png()), etag="another")
    assert refusal(stale) == (409, "ABORTED", "ETAG_MISMATCH")
    upload = send(athlete, rest, made_pictures.png())
    assert set_avatar(athlete, upload, first["etag"]).status_code == 200
    second = profile(athlete)
    assert second["avatarUri"] != first["avatarUri"]
    assert rest.get(second["avatarUri"]).status_code == httpx.codes.OK
    assert rest.get(first["avatarUri"]).status_code == httpx.codes.NOT_FOUND
    # The repeat of an answer that was lost, with the etag of before.
    again = set_avatar(athlete, upload, first["etag"])
    assert again.json()["profile"] == second


def test_a_removed_picture_is_gone(athlete: Athlete, rest: httpx.Client) -> None:
    upload = send(athlete, rest, made_pictures.jpeg())
    assert set_avatar(athlete, upload).status_code == 200
    shown = profile(athlete)
    for _ in range(2):
        assert athlete.rest.delete(f"/v1/{athlete.user}/avatar").status_code == httpx.codes.OK
    now = profile(athlete)
    assert (now["avatarUri"], now["avatarSmallUri"]) == ("", "")
    for name in ("avatarUri", "avatarSmallUri"):
        assert rest.get(shown[name]).status_code == httpx.codes.NOT_FOUND
    assert refusal(set_avatar(athlete, upload))[2] == "AVATAR_UPLOAD_NOT_FOUND"


def test_what_did_not_arrive_or_is_somebody_elses_cannot_be_set(
    athlete: Athlete, athletes: Club, rest: httpx.Client
) -> None:
    grant = athlete.rest.post(f"/v1/{athlete.user}/avatarUploads", json={}).json()
    wanted = (404, "NOT_FOUND", "AVATAR_UPLOAD_NOT_FOUND")
    assert refusal(set_avatar(athlete, grant["uploadId"])) == wanted
    theirs = send(athletes.register(), rest, made_pictures.png())
    assert refusal(set_avatar(athlete, theirs)) == wanted


def test_what_is_no_picture_is_refused_in_time(athlete: Athlete, rest: httpx.Client) -> None:
    grant = athlete.rest.post(f"/v1/{athlete.user}/avatarUploads", json={}).json()
    page = rest.put(grant["uploadUri"], content=b"<html>", headers={"content-type": "image/png"})
    assert refusal(page) == (415, "INVALID_ARGUMENT", "UPLOAD_TYPE_REFUSED")
    for content, reason in (
        (made_pictures.bomb(), "AVATAR_TOO_LARGE"),
        (made_pictures.jpeg()[:2_000], "AVATAR_UNREADABLE"),
    ):
        answer = set_avatar(athlete, send(athlete, rest, content))
        assert refusal(answer) == (400, "INVALID_ARGUMENT", reason)
    assert profile(athlete)["avatarUri"] == ""


def test_files_left_by_a_killed_process_are_swept(
    athlete: Athlete, rest: httpx.Client, desk: Desk
) -> None:
    assert set_avatar(athlete, send(athlete, rest, made_pictures.jpeg())).status_code == 200
    shown = urlsplit(profile(athlete)["avatarUri"]).path
    objects = desk.stack.places.blobs / "objects"
    orphan = (objects / shown.removeprefix("/blobs/v1/")).with_name("left-512.webp")
    orphan.write_bytes(b"left")
    # As if that had been an hour ago.
    with athlete.stack.database() as database:
        database.execute(
            "UPDATE identity.profiles SET avatar_stale = true,"
            " updated_at = now() - interval '1 hour' WHERE user_id = %s",
            (athlete.user.removeprefix("users/"),),
        )
    # It looks at its start, and then by the clock.
    stack = athlete.stack
    stack.recovered("identity-0", stack.kill("identity-0"), 30)
    until(lambda: not orphan.exists(), 90, "the sweep finds it")
    assert rest.get(shown).status_code == httpx.codes.OK

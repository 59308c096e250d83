"""What is compressed on its way out, and what never is."""

from __future__ import annotations

import gzip

import httpx
import pytest

from tests.support.mesh_stand_in import DOWNLOAD_BYTES

LARGE = "/v1/users/me/activities/a1/streams"
SMALL = "/v1/users/me/activities/a1"


def _told(client: httpx.Client, path: str, headers: dict[str, str]) -> httpx.Response:
    """The answer, which is no refusal: of one, its words say more than the header it lacks."""
    answer = client.get(path, headers=headers)
    assert answer.status_code == httpx.codes.OK, answer.text[:500]
    return answer


@pytest.mark.parametrize("way", ["gzip", "br", "zstd"])
def test_a_large_text_is_compressed_as_the_client_likes(user: httpx.Client, way: str) -> None:
    whole = user.get(LARGE, headers={"accept-encoding": "identity"})
    assert len(whole.content) > DOWNLOAD_BYTES
    assert "content-encoding" not in whole.headers
    with user.stream("GET", LARGE, headers={"accept-encoding": way}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == way
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert len(raw) < len(whole.content) / 10
    if way == "gzip":
        assert gzip.decompress(raw) == whole.content


def test_a_compressed_answers_tag_is_weak_and_still_known(user: httpx.Client) -> None:
    accepts = {"accept-encoding": "gzip"}
    strong = _told(user, LARGE, {"accept-encoding": "identity"}).headers["etag"]
    weak = _told(user, LARGE, accepts).headers["etag"]
    assert weak == f"W/{strong}"
    for tag in (strong, weak):
        again = user.get(LARGE, headers={**accepts, "if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert "content-encoding" not in again.headers


def test_what_is_small_is_left_as_it_is(user: httpx.Client) -> None:
    answer = _told(user, SMALL, {"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["etag"].startswith('"')


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_a_stream_is_never_held_back_to_be_compressed(user: httpx.Client, accept: str) -> None:
    headers = {"accept": accept, "accept-encoding": "gzip, br, zstd"}
    with user.stream("GET", f"{SMALL}:watch", headers=headers) as answer:
        assert "content-encoding" not in answer.headers
        assert "140" in next(answer.iter_raw()).decode()


def test_what_holds_a_token_is_never_compressed(rest: httpx.Client) -> None:
    body = {"email": f"{'a' * 3000}@b.example", "displayName": "A"}
    answer = rest.post("/v1/auth:register", json=body, headers={"accept-encoding": "gzip"})
    assert len(answer.content) > 3000
    assert "content-encoding" not in answer.headers

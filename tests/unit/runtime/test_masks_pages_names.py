"""Field masks, page tokens and resource names: what is read, and what is refused how."""

from __future__ import annotations

import base64
import uuid

import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from mesh.runtime import masks, names, pages
from mesh.runtime.errors import MeshError
from palestra.identity.v1.profile_pb2 import Profile

CHANGEABLE = {"display_name", "bio"}
JSON = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)


def mask(*paths: str) -> FieldMask:
    return FieldMask(paths=paths)


def test_a_mask_says_what_changes() -> None:
    assert masks.to_change(mask("bio"), Profile(display_name="x"), CHANGEABLE) == {"bio"}


def test_with_no_mask_what_is_set_changes_of_what_can() -> None:
    profile = Profile(name="users/1", display_name="x", etag="1")
    assert masks.to_change(mask(), profile, CHANGEABLE) == {"display_name"}


def test_a_star_changes_all_that_can_be_changed() -> None:
    assert masks.to_change(mask("*"), Profile(), CHANGEABLE) == CHANGEABLE


@pytest.mark.parametrize("path", ["name", "nothing", "bio.x", "", "displayName"])
def test_a_mask_with_what_cannot_be_changed_is_refused(path: str) -> None:
    with pytest.raises(MeshError) as refused:
        masks.to_change(mask("bio", path), Profile(), CHANGEABLE)
    assert refused.value.reason == "INVALID_FIELD"
    assert refused.value.violations[0][0] == "update_mask"


def test_a_read_mask_keeps_what_it_names() -> None:
    profile = Profile(name="users/1", display_name="x", bio="y")
    masks.keep_only(mask("name", "bio"), profile)
    assert profile == Profile(name="users/1", bio="y")


@pytest.mark.parametrize("everything", [mask(), mask("*")])
def test_no_read_mask_or_a_star_keeps_all(everything: FieldMask) -> None:
    profile = Profile(name="users/1", bio="y")
    masks.keep_only(everything, profile)
    assert profile == Profile(name="users/1", bio="y")


def test_a_read_mask_of_an_unknown_field_is_refused_and_nothing_is_cleared() -> None:
    profile = Profile(name="users/1")
    with pytest.raises(MeshError, match="no field 'shoe_size'"):
        masks.keep_only(mask("shoe_size"), profile)
    assert profile == Profile(name="users/1")


@given(st.text(max_size=40), st.lists(JSON, max_size=4))
def test_a_page_token_leads_back_to_its_cursor(key: str, cursor: list[object]) -> None:
    assert pages.cursor(key, pages.token(key, cursor)) == cursor


def test_no_token_is_the_first_page() -> None:
    assert pages.cursor("any", "") is None


@given(st.text(max_size=80))
def test_what_is_no_page_token_is_refused(text: str) -> None:
    if text:
        with pytest.raises(MeshError) as refused:
            pages.cursor("a request", text)
        assert refused.value.reason == "PAGE_TOKEN_INVALID"


@given(st.recursive(JSON, lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_json_that_is_no_cursor_is_refused(body: object) -> None:
    token = base64.urlsafe_b64encode(orjson.dumps(body)).rstrip(b"=").decode()
    with pytest.raises(MeshError, match="PAGE_TOKEN_INVALID"):
        pages.cursor("a request", token)


def test_a_token_of_another_request_is_refused() -> None:
    with pytest.raises(MeshError, match="PAGE_TOKEN_INVALID"):
        pages.cursor("filter=b", pages.token("filter=a", [1]))


def test_a_damaged_token_is_refused() -> None:
    token = pages.token("key", ["abc"])
    with pytest.raises(MeshError, match="PAGE_TOKEN_INVALID"):
        pages.cursor("key", token[:-4])


@given(st.uuids(), st.uuids())
def test_a_name_gives_its_ids(user: uuid.UUID, device: uuid.UUID) -> None:
    assert names.parse(f"users/{user}", "users") == (user,)
    found = names.parse(f"users/{user}/devices/{device}", "users", "devices")
    assert found == (user, device)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "users",
        "users/",
        "users/x",
        "devices/{}",
        "users/{}/",
        "users/{}/devices/{}",
        "/users/{}",
    ],
)
def test_a_name_of_another_shape_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(MeshError) as refused:
        names.parse(name.replace("{}", str(uuid.uuid4())), "users", field="profile.name")
    assert refused.value.reason == "INVALID_FIELD"
    assert refused.value.violations[0][0] == "profile.name"

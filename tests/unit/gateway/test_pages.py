"""The table of pages: what it takes from the contract, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import pytest

from gateway import pages
from gateway.overrides import Overrides, parse
from gateway.pages import Page, PageError
from mesh import policy

CONTRACT = policy.load()
GET_KEYS = "/palestra.identity.v1.KeyService/GetKeySet"


def test_a_bridge_needs_what_its_method_needs() -> None:
    method = CONTRACT.methods[pages.TELEMETRY.bridges]
    (page,) = pages.derive(CONTRACT, Overrides(), [pages.TELEMETRY])
    assert page.needs_token
    assert page.limit == Overrides().limit(method)
    assert page.limit is not None
    assert page.method == method.path


def test_an_operators_limit_holds_on_the_bridge_too() -> None:
    said = {"methods": {pages.TELEMETRY.bridges: {"limit": {"requests": 3, "window_s": 7}}}}
    changed = parse(json.dumps(said), CONTRACT)
    (page,) = pages.derive(CONTRACT, changed, [pages.TELEMETRY])
    assert page.limit is not None
    assert (page.limit.requests, page.limit.window_s) == (3, 7)


@pytest.mark.parametrize("bridges", ["/palestra.nobody.v1.Service/Method", GET_KEYS])
def test_what_is_no_method_for_people_is_not_bridged(bridges: str) -> None:
    with pytest.raises(PageError, match=bridges):
        pages.derive(CONTRACT, Overrides(), [dataclasses.replace(pages.TELEMETRY, bridges=bridges)])


def test_a_page_of_no_part_of_the_edge_is_refused() -> None:
    with pytest.raises(PageError, match="no part of the edge: 'training'"):
        pages.derive(CONTRACT, Overrides(), [Page("/docs", part="training")])


def test_two_pages_may_not_share_a_path() -> None:
    with pytest.raises(PageError, match="two pages"):
        pages.derive(CONTRACT, Overrides(), [Page("/docs"), Page("/docs", under=True)])


def test_the_more_particular_page_is_tried_first() -> None:
    made = [Page("/blobs", under=True), Page("/blobs/v1", under=True), Page("/blobs/v1/scan")]
    derived = pages.derive(CONTRACT, Overrides(), made)
    assert [page.path for page in derived] == ["/blobs/v1/scan", "/blobs/v1", "/blobs"]


def test_a_page_is_its_path_and_what_is_below_it_where_it_says_so() -> None:
    assert Page("/docs").serves("/docs")
    assert not Page("/docs").serves("/docs/")
    assert Page("/docs", under=True).serves("/docs/a.css")
    assert not Page("/docs", under=True).serves("/docs2")

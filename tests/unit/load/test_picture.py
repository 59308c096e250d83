"""The picture of the figures: well-formed, to scale, told in words as well."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from tests.load import picture
from tests.load.figures import Measured, Rounds, Tally

SVG = "{http://www.w3.org/2000/svg}"


def _rounds(name: str, panel: str, **cpu_us: float) -> Rounds:
    return Rounds(name, "request", panel, [Measured(name, "request", Tally(1), 1.0, cpu_us)])


@pytest.fixture(name="drawn")
def _drawn() -> ET.Element:
    measured = [
        _rounds("get", "Reading", edge=300.0, training=600.0, web=100.0),
        _rounds("list-20", "Reading", edge=2500.0),
        _rounds("a <b> & c", "Else", node=40_000.0),
        Rounds("broken", "request", "Else", [Measured("broken", "request", Tally(0, 1), 1.0, {})]),
    ]
    return ET.fromstring(picture.draw(measured, "T & t", "told"))


def _bars(drawn: ET.Element) -> dict[str, float]:
    found = {}
    for rect in drawn.iter(f"{SVG}rect"):
        title = rect.find(f"{SVG}title")
        if title is not None:
            found[str(title.text)] = float(rect.attrib["width"])
    return found


def test_bars_are_as_long_as_their_cpu_on_the_axis_of_their_panel(
    drawn: ET.Element,
) -> None:
    bars = _bars(drawn)
    assert math.isclose(bars["training: 600 µs"], 2 * bars["edge: 300 µs"], rel_tol=0.01)
    assert math.isclose(bars["edge: 2,500 µs"], 2500 / 300 * bars["edge: 300 µs"], rel_tol=0.01)
    assert bars["other: 100 µs"] > 0
    room = picture.WIDTH - 210 - 110
    assert room / 2 < bars["node: 40,000 µs"] <= room


def test_targets_are_lines_and_a_missed_one_is_a_word(drawn: ET.Element) -> None:
    lines = [
        title.text
        for path in drawn.iter(f"{SVG}path")
        if (title := path.find(f"{SVG}title")) is not None
    ]
    assert lines == ["target: 1,300 µs", "target: 1,900 µs"]
    missed = [text.text for text in drawn.iter(f"{SVG}text") if text.get("class") == "miss"]
    assert missed == ["2,500 miss"]


def test_it_says_in_words_what_it_shows(drawn: ET.Element) -> None:
    assert drawn.attrib["role"] == "img"
    told = drawn.find(f"{SVG}desc")
    assert told is not None
    assert "get: 1,000 µs per request." in str(told.text)
    assert "a <b> & c" in str(told.text)


def test_it_follows_the_viewer_s_light_and_dark(drawn: ET.Element) -> None:
    style = drawn.find(f"{SVG}style")
    assert style is not None
    assert "prefers-color-scheme: dark" in str(style.text)


def test_a_picture_of_nothing_is_a_picture() -> None:
    assert ET.fromstring(picture.draw([], "T", "")).tag == f"{SVG}svg"


@pytest.mark.parametrize("most", [0.7, 1.0, 43.0, 999.0, 1_000.0, 1_001.0, 7.2e6])
def test_an_axis_has_few_ticks_at_round_numbers(most: float) -> None:
    step = picture._step(most)
    assert 2 <= math.ceil(most / step) <= 8
    assert step / 10 ** math.floor(math.log10(step) + 1e-9) in (1, 2, 5)

"""Descriptors -> keys and limits."""

from __future__ import annotations

import pytest

from gateway.limiter.asked import DescriptorError, Reader
from gateway.limiter.wire import Descriptor

READER = Reader(b"a secret of the edges")


def key(*entries: tuple[str, str], reader: Reader = READER, domain: str = "palestra") -> str:
    return reader.read(domain, Descriptor((("limit", "3/60"), *entries), 1)).key


def test_the_limit_is_the_descriptors_own() -> None:
    found = READER.read("palestra", Descriptor((("limit", "3/60"), ("user", "u")), 2))
    assert (found.item.amount, found.item.get_expiry(), found.hits) == (3, 60, 2)


def test_different_callers_have_different_keys_and_one_caller_has_one() -> None:
    entries = [
        (("user", "ab"),),
        (("user", "a"), ("b", "")),
        (("user", "a"), ("", "b")),
        (("address", "ab"),),
        (("user", "ab"), ("user", "ab")),
    ]
    found = {key(*each) for each in entries} | {key(*entries[0], domain="another")}
    assert len(found) == len(entries) + 1
    assert key(*entries[0]) == key(*entries[0])


def test_a_changed_limit_goes_on_counting_the_same_caller() -> None:
    looser = READER.read("palestra", Descriptor((("limit", "9/60"), ("user", "u")), 1))
    assert looser.key == key(("user", "u"))


def test_a_key_shows_nobody_and_cannot_be_guessed_without_the_secret() -> None:
    said = key(("masked_remote_address", "192.0.2.7/32"))
    assert "192" not in said
    assert said != key(("masked_remote_address", "192.0.2.7/32"), reader=Reader(b"another"))


@pytest.mark.parametrize(
    "text",
    ["", "3", "3/", "/60", "-3/60", "3/60/1", "0/60", "3/0", "3/86401", "10000001/60", "٣/٦"],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(DescriptorError):
        READER.read("palestra", Descriptor((("limit", text), ("user", "u")), 1))


def test_a_descriptor_without_a_limit_is_refused() -> None:
    with pytest.raises(DescriptorError, match="no entry 'limit'"):
        READER.read("palestra", Descriptor((("user", "u"),), 1))


def test_there_is_no_reader_without_a_secret() -> None:
    with pytest.raises(DescriptorError):
        Reader(b"")

"""Whose pages may use the edge."""

from __future__ import annotations

import pytest

from gateway import origins
from gateway.origins import OriginError


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("*", "https://anything.example"),
        ("https://a.example, *", "null"),
        ("https://app.example", "https://app.example"),
        ("https://App.Example/", "https://app.EXAMPLE"),
        ("http://a.example,https://b.example:8443", "https://b.example:8443"),
        ("https://*.app.example", "https://one.two.app.example"),
        ("http://localhost:*", "http://localhost:5173"),
        ("http://localhost:*", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_that_is_meant_is_allowed(setting: str, origin: str) -> None:
    assert origin in origins.parse(setting)


@pytest.mark.parametrize(
    ("setting", "origin"),
    [
        ("https://app.example", "http://app.example"),
        ("https://app.example", "https://app.example:8443"),
        ("https://app.example", "https://appxexample"),
        ("https://app.example", "https://evil.app.example"),
        ("https://app.example", "https://app.example.evil"),
        ("https://app.example", "null"),
        ("https://*.app.example", "https://app.example"),
        ("https://*.app.example", "https://evilapp.example"),
        ("https://*.app.example", "https://evil/.app.example"),
        ("https://*.app.example", "https://a..app.example"),
        ("http://localhost:*", "http://localhost.evil:80"),
        ("http://localhost:*", "http://localhost:80\n"),
    ],
)
def test_an_origin_that_is_only_alike_is_not(setting: str, origin: str) -> None:
    assert origin not in origins.parse(setting)


@pytest.mark.parametrize(
    "setting",
    ["", ",", "app.example", "ftp://a.example", "https://a.example/path", "https://*", "null",
     "https://a*.example", "https://*.*.example", "https://user@a.example", "https://a:x",
     ",".join(f"https://a{at}.example" for at in range(101))],
)  # fmt: skip
def test_what_is_no_origin_is_refused(setting: str) -> None:
    with pytest.raises(OriginError):
        origins.parse(setting)

"""What is kept of a device: a name that its owner knows again, a network that is no address."""

from __future__ import annotations

import pytest

from services.identity.sessions.devices import device_name, network_of

_MOZILLA = "Mozilla/5.0"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("", ""),
        ("something of its own", ""),
        (
            f"{_MOZILLA} (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            "Firefox on Linux",
        ),
        (
            f"{_MOZILLA} (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/129.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            f"{_MOZILLA} (Windows NT 10.0) {_WEBKIT} Chrome/129.0 Safari/537.36 Edg/129.0",
            "Edge on Windows",
        ),
        (
            f"{_MOZILLA} (Macintosh; Intel Mac OS X 10_15) {_WEBKIT} Version/17 Safari/605.1",
            "Safari on Mac",
        ),
        (
            f"{_MOZILLA} (iPhone; CPU iPhone OS 17_5 like Mac OS X) {_WEBKIT} CriOS/129 Safari/604",
            "Chrome on iPhone",
        ),
        (
            f"{_MOZILLA} (Linux; Android 14; Pixel 8) {_WEBKIT} Chrome/129.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        ("Palestra/3.1 (Android 14)", "Palestra on Android"),
        ("grpc-python-asyncio/1.85.0 grpc-c/53.0.0 (linux; chttp2)", "gRPC client"),
        ("curl/8.5.0", "curl"),
        ("x" * 512 + "Firefox", ""),
    ],
)
def test_a_device_is_named_by_its_app_and_system(user_agent: str, name: str) -> None:
    assert device_name(user_agent) == name


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("", ""),
        ("/run/edge.sock", ""),
        ("203.0.113.77:4711", ""),
    ],
)
def test_of_an_address_only_the_network_is_kept(address: str, network: str) -> None:
    assert network_of(address) == network

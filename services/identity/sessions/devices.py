"""What a session tells of the device it lives on: little, and coarse.

The full address and user agent are looked at here, and kept nowhere.
"""

from __future__ import annotations

import functools
import ipaddress

from mesh.runtime import Call
from services.identity.sessions.rules import DeviceHint

_PREFIXES = {4: 24, 6: 48}
LONGEST_USER_AGENT = 512
# The first that is found names it: each browser also names those it descends from.
_APPS = (
    ("Palestra", "Palestra"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("YaBrowser", "Yandex Browser"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("okhttp", "Palestra"),
    ("grpc-", "gRPC client"),
    ("python", "Python client"),
    ("curl", "curl"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Watch", "watch"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


def device_of(call: Call) -> DeviceHint:
    """The device that a call came from, as far as the edge knows."""
    return DeviceHint(device_name(call.user_agent), network_of(call.address))


@functools.lru_cache(maxsize=1024)
def device_name(user_agent: str) -> str:
    """`Firefox on Windows`; empty where the user agent says nothing that is known."""
    text = user_agent[:LONGEST_USER_AGENT]
    app = next((name for mark, name in _APPS if mark in text), "")
    system = next((name for mark, name in _SYSTEMS if mark in text), "")
    return f"{app} on {system}" if app and system else app or system


def network_of(address: str) -> str:
    """The network that an address is of, too large to be one home; empty where it is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 6 and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, _PREFIXES[found.version]), strict=False))

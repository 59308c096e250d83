"""Where people may be sent back to.

An address is compared character by character. Only the port of a loopback address may
differ, because an app on a person's own machine cannot know which is free (RFC 8252 §7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from services.identity.clients.rules.errors import RedirectUriInvalid

FIELD = "redirect_uris"
_SHOWN = re.compile(r"[!-~]{1,512}")
_NEVER = frozenset("#*\\<>\"'`^{}|")
_LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|::1")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?(/.*)?")
# Reversed domain names only (RFC 8252 §7.1), so that no browser scheme can be meant.
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def check(uri: str) -> None:
    """Refuses an address that nobody may be sent to.

    Raises:
        RedirectUriInvalid: says why.
    """
    if not _SHOWN.fullmatch(uri) or _NEVER & set(uri):
        raise RedirectUriInvalid(FIELD, "has characters that an address cannot have")
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise RedirectUriInvalid(FIELD, "is no address") from None
    if parts.scheme != uri.split(":", 1)[0]:
        raise RedirectUriInvalid(FIELD, "begins with a scheme in small letters")
    if parts.username is not None or parts.password is not None:
        raise RedirectUriInvalid(FIELD, "holds a user name")
    if parts.scheme in ("http", "https"):
        if not _HOST.fullmatch(host or ""):
            raise RedirectUriInvalid(FIELD, "has a host that cannot be")
        if parts.scheme == "http" and host not in _LOCAL_HOSTS:
            raise RedirectUriInvalid(FIELD, "http is for the person's own machine; use https")
        return
    if not _PRIVATE_SCHEME.fullmatch(parts.scheme):
        raise RedirectUriInvalid(FIELD, "is https, or of a scheme like com.example.app")


def is_one_of(given: str, registered: Iterable[str]) -> bool:
    """Whether an app registered the address that it gives now."""
    known = tuple(registered)
    if given in known:
        return True
    loopback = _loopback(given)
    return loopback is not None and loopback in {_loopback(each) for each in known}


def _loopback(uri: str) -> tuple[str, str] | None:
    """A loopback address without its port."""
    found = _LOOPBACK.fullmatch(uri) if _SHOWN.fullmatch(uri) else None
    return (found[1], found[2] or "") if found and not _NEVER & set(uri) else None


def origin(uri: str) -> str:
    """What people are shown, and what browsers are told, of where an address leads."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"

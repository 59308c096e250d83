"""How authorisation fails, and who is told: the person, the app's page, or its server."""

from __future__ import annotations

from typing import ClassVar


class RequestRefused(Exception):
    """Who asks, or where to send the person, is in doubt: nobody is sent anywhere."""

    reason: ClassVar[str] = "OAUTH_REQUEST_INVALID"


class SentBack(Exception):
    """The app hears of it by redirect, as `error` (RFC 6749 §4.1.2.1)."""

    reason: ClassVar[str] = "OAUTH_REQUEST_INVALID"

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class BrowserSignedOut(Exception):
    """Nobody is signed in there, or not freshly enough."""

    reason: ClassVar[str] = "BROWSER_SIGNED_OUT"


class GrantInvalid(Exception):
    """`invalid_grant`: the code or refresh token is not valid, or not this client's."""

    reason: ClassVar[str] = "OAUTH_GRANT_INVALID"


class ClientUnauthorized(Exception):
    """`unauthorized_client`: not by this way."""

    reason: ClassVar[str] = "OAUTH_CLIENT_UNAUTHORIZED"


class GrantTypeUnsupported(Exception):
    """`unsupported_grant_type`."""

    reason: ClassVar[str] = "OAUTH_GRANT_TYPE_UNSUPPORTED"


class ScopeInvalid(Exception):
    """`invalid_scope`: more than the client may have."""

    reason: ClassVar[str] = "OAUTH_SCOPE_INVALID"

"""What can be wrong with a client, or with what one shows of itself."""

from __future__ import annotations

from typing import ClassVar


class _AtField(Exception):
    """Something is wrong with one field."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


class ClientNotFound(Exception):
    """There is no such app or service account."""

    reason: ClassVar[str] = "CLIENT_NOT_FOUND"


class TooManyClients(Exception):
    """There are as many as there may be."""

    reason: ClassVar[str] = "TOO_MANY_CLIENTS"


class RedirectUriInvalid(_AtField):
    """People cannot be sent back there."""

    reason: ClassVar[str] = "REDIRECT_URI_INVALID"


class ScopeUnknown(_AtField):
    """No such scope, or none for clients of this kind."""

    reason: ClassVar[str] = "SCOPE_UNKNOWN"


class ClientKeyInvalid(_AtField):
    """A key that cannot be used."""

    reason: ClassVar[str] = "CLIENT_KEY_INVALID"


class ClientTextInvalid(_AtField):
    """A text that cannot be shown."""

    reason: ClassVar[str] = "CLIENT_TEXT_INVALID"


class AddressNotVerified(Exception):
    """Whoever answers for an app must be reachable."""

    reason: ClassVar[str] = "ADDRESS_NOT_VERIFIED"


class ClientHasNoSecret(Exception):
    """It proves itself otherwise."""

    reason: ClassVar[str] = "CLIENT_HAS_NO_SECRET"


class EtagMismatch(Exception):
    """It was changed meanwhile."""

    reason: ClassVar[str] = "ETAG_MISMATCH"


class RequestIdReused(Exception):
    """The request id was used for another client."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"


class OAuthClientInvalid(Exception):
    """`invalid_client`: not known, or not proved."""

    reason: ClassVar[str] = "OAUTH_CLIENT_INVALID"


class OAuthRequestInvalid(Exception):
    """`invalid_request`: a parameter is missing, doubled or malformed."""

    reason: ClassVar[str] = "OAUTH_REQUEST_INVALID"

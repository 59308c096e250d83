"""What identity is told of the shop, read into a provider; none where it is told nothing."""

from __future__ import annotations

from pathlib import Path

from mesh.runtime.settings import SettingsError
from services.identity.sso.provider import Provider

_PREFIX = "PALESTRA_IDENTITY_SSO"
LONGEST_SECRET = 1024


def provider_of(issuer: str, client_id: str, secret_file: Path | None) -> Provider | None:
    """The provider of `PALESTRA_IDENTITY_SSO_ISSUER`, `_CLIENT_ID` and `_SECRET_FILE`.

    Raises:
        SettingsError: they are not whole, or cannot be used; names the variable.
    """
    if not issuer:
        return None
    if not client_id:
        raise SettingsError(f"{_PREFIX}_CLIENT_ID is not set, and {_PREFIX}_ISSUER is")
    if secret_file is None:
        raise SettingsError(f"{_PREFIX}_SECRET_FILE is not set, and {_PREFIX}_ISSUER is")
    try:
        secret = secret_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{_PREFIX}_SECRET_FILE: {type(error).__name__}") from None
    if not 0 < len(secret) <= LONGEST_SECRET:
        raise SettingsError(f"{_PREFIX}_SECRET_FILE holds no secret")
    try:
        return Provider(issuer, client_id, secret)
    except ValueError as error:
        raise SettingsError(f"{_PREFIX}_ISSUER: {error}") from None

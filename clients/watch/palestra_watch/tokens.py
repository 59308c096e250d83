"""Where the companion's access token comes from.

Decides nothing about sign-in: that is `palestra_client`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from palestra_client import (
    FileTokenStore,
    MemoryTokenStore,
    Palestra,
    SignIn,
    TokenStore,
    Unauthenticated,
    claims_of,
    tokens_of,
)


class TokenSource(Protocol):
    """Gives access tokens."""

    async def access_token(self) -> str:
        """The token of now; renewed first where it is about to end."""
        ...

    async def renewed(self, stale: str) -> str:
        """Another one than `stale`; Unauthenticated where there is none."""
        ...


class GivenToken:
    """One token, as given; it ends when it ends."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def access_token(self) -> str:
        """The token."""
        return self._token

    async def renewed(self, stale: str) -> str:  # noqa: ARG002 - as TokenSource has it
        """There is no other one.

        Raises:
            Unauthenticated: always.
        """
        raise Unauthenticated(
            "The token has ended and there is nothing to renew it with: "
            "give a fresh --token, or a --refresh-token, or a --token-file"
        )


class SignedIn:
    """A sign-in of `palestra_client`, renewed as it is used."""

    def __init__(self, signin: SignIn) -> None:
        self._signin = signin

    async def access_token(self) -> str:
        """The token of now."""
        return await self._signin.access_token()

    async def renewed(self, stale: str) -> str:
        """Another one than `stale`."""
        return await self._signin.renewed(stale)


def token_source(
    client: Callable[[TokenStore], Palestra],
    token: str,
    refresh_token: str,
    token_file: Path | None,
) -> tuple[TokenSource, str]:
    """A source of tokens from what the command line gives, and whose they are.

    Raises:
        ValueError: nothing is given, or the file is no token file.
    """
    if token and not refresh_token:
        return GivenToken(token), str(claims_of(token).get("sub", ""))
    if token:
        store: TokenStore = MemoryTokenStore(tokens_of(token, refresh_token))
    elif token_file is not None:
        store = FileTokenStore(token_file)
    else:
        raise ValueError("sign in first: give --token, PALESTRA_TOKEN or --token-file")
    tokens = store.load()
    if tokens is None:
        raise ValueError(f"{token_file} does not exist: sign in first")
    return SignedIn(client(store).signin), tokens.user.removeprefix("users/")

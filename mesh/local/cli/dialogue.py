"""Asking the person at the keyboard, and telling errors of the edge, for `call` and `account`.

Decides what is asked for which challenge, and the exit status: 1 for a refusal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.local.cli.options import sentences

if TYPE_CHECKING:
    from palestra_client import Challenge, Palestra, PalestraError, Proof

As = Annotated[
    str,
    typer.Option(
        "--as", envvar="PALESTRA_AS", metavar="NAME", help="Whose sign-in, among those kept here."
    ),
]
Target = Annotated[
    str,
    typer.Option(
        envvar="PALESTRA_TARGET",
        metavar="HOST:PORT",
        help="Another edge than that of the running stack.",
        show_default=False,
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        envvar="PALESTRA_CA", help="Who vouches for it, as PEM: the stack's own, the usual ones."
    ),
]
Work = Callable[["Palestra"], Coroutine[Any, Any, None]]


def run(work: Work, state: Path, name: str, target: str, ca: Path | None) -> None:
    """Does something as the person of that name; refusals are told, with exit status 1."""
    from mesh.local import people
    from palestra_client import PalestraError

    async def done() -> None:
        folder = state.resolve()
        where = people.edge(folder, target, ca)
        async with people.client(where, people.path(folder, name), prove) as palestra:
            await work(palestra)

    with sentences():
        try:
            asyncio.run(done())
        except PalestraError as error:
            typer.echo(f"palestra: {words(error)}", err=True)
            raise typer.Exit(1) from None
        except (LookupError, ValueError, TimeoutError) as error:
            typer.echo(f"palestra: {error}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def words(error: PalestraError) -> str:
    """`NOT_OWNER (mesh.palestra): This belongs to somebody else.`"""
    reason = f"{error.reason} ({error.domain})" if error.reason else error.code.name
    told = [f"{reason}: {error.message}"]
    told += [f"  {each.field}: {each.description}" for each in error.field_violations]
    if error.retry_after_s is not None:
        told.append(f"  Try again in {error.retry_after_s:g} s.")
    return "\n".join(told)


async def prove(challenge: Challenge) -> Proof:
    """Asks for what the challenge wants; a passkey no shell can answer for."""
    from palestra_client import Proof

    if challenge.step_up:
        typer.echo("Confirm that it is you.", err=True)
    if "password" in challenge.factors:
        return Proof.password(await _asked("Password", hidden=True))
    if challenge.factors == ("passkey",):
        raise ValueError("the account has passkeys alone: sign in in a browser")
    code = await _asked("Code of the app, or a recovery code", hidden=False)
    digits = code.replace(" ", "")
    return (
        Proof.totp(code) if digits.isdecimal() and len(digits) == 6 else Proof.recovery_code(code)
    )


async def _asked(question: str, *, hidden: bool) -> str:
    told: str = await asyncio.to_thread(typer.prompt, question, hide_input=hidden, err=True)
    return told

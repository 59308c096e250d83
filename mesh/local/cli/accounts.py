"""`palestra account`: people to try a stack with, signed up and signed in from the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mesh.local.cli.dialogue import As, Ca, Target, run
from mesh.local.cli.options import STATE, State

if TYPE_CHECKING:
    from palestra_client import Palestra

app = typer.Typer(
    no_args_is_help=True,
    help="People to try a stack with: signed up, signed in, for `palestra call`.",
)
Address = Annotated[
    str, typer.Argument(help="An e-mail address, or a phone number with its country's code.")
]
Password = Annotated[
    str,
    typer.Option(
        envvar="PALESTRA_PASSWORD",
        prompt=True,
        hide_input=True,
        help="Asked for where neither says it.",
    ),
]


@app.command()
def register(
    address: Address,
    display_name: Annotated[str, typer.Option("--name", help="What others see.")],
    password: Password,
    name: As = "me",
    language: Annotated[str, typer.Option(help="Of letters: ru, en-GB.")] = "",
    country: Annotated[str, typer.Option(help="Where one lives: RU.")] = "",
    state: State = STATE,
    target: Target = "",
    ca: Ca = None,
) -> None:
    """Sign somebody up, and keep the sign-in.

    palestra account register vera@example.com --name Vera --as vera

    The code that proves the address is in `palestra mail vera@example.com`.
    """

    async def work(palestra: Palestra) -> None:
        typer.echo(await palestra.register(address, password, display_name, language, country))

    run(work, state, name, target, ca)


@app.command()
def login(
    address: Address,
    password: Password,
    name: As = "me",
    state: State = STATE,
    target: Target = "",
    ca: Ca = None,
) -> None:
    """Sign in, and keep it. A second factor is asked for where there is one."""

    async def work(palestra: Palestra) -> None:
        typer.echo(await palestra.login(address, password))

    run(work, state, name, target, ca)


@app.command()
def confirm(name: As = "me", state: State = STATE, target: Target = "", ca: Ca = None) -> None:
    """Confirm that it is you, before something that asks for a sign-in of the last minutes.

    `palestra call` asks by itself.
    """

    async def work(palestra: Palestra) -> None:
        await palestra.confirm()
        typer.echo(palestra.user)

    run(work, state, name, target, ca)


@app.command()
def logout(name: As = "me", state: State = STATE, target: Target = "", ca: Ca = None) -> None:
    """Sign out, here and there."""

    async def work(palestra: Palestra) -> None:
        await palestra.logout()

    run(work, state, name, target, ca)


@app.command(name="list")
def list_(state: State = STATE) -> None:
    """Show whose sign-ins are kept here."""
    from mesh.local import people
    from palestra_client import FileTokenStore

    found = people.names(state.resolve())
    for name in found:
        tokens = FileTokenStore(people.path(state.resolve(), name)).load()
        typer.echo(f"{name}  {tokens.user if tokens else ''}")
    if not found:
        typer.echo("Nobody is signed in; begin with palestra account register.")

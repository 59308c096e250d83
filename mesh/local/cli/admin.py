"""`palestra admin`: the first administrator, and roles where nobody is left who can grant them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mesh.local.cli.options import STATE, State, sentences

app = typer.Typer(
    no_args_is_help=True,
    help="Roles, by whoever has the machine: the first administrator's above all.",
)
Reason = Annotated[str, typer.Option(help="Why; it is kept, and the person sees it.")]
DatabaseUrl = Annotated[
    str,
    typer.Option(
        envvar="PALESTRA_DATABASE_URL",
        help="libpq URL of identity's database, of a deployment; this stack's by default.",
        show_default=False,
    ),
]


@app.command()
def grant(
    person: Annotated[str, typer.Argument(help="An e-mail address, a phone number, or users/….")],
    reason: Reason,
    role: Annotated[
        list[str] | None, typer.Option(help="May be repeated; administrator by default.")
    ] = None,
    days: Annotated[float, typer.Option(help="Until it ends by itself, at most 366.")] = 90,
    state: State = STATE,
    database_url: DatabaseUrl = "",
) -> None:
    """Grant roles to somebody who has signed up and proved the address.

    palestra admin grant vera@example.com --reason "runs the house"

    They are at work once the person has signed in by a second factor.
    """
    roles = [f"--role={each}" for each in role or []]
    _run(state, database_url, "grant", f"--reason={reason}", f"--days={days}", *roles, "--", person)


@app.command()
def revoke(
    grant: Annotated[str, typer.Argument(help="users/…/roleGrants/…, as `list` shows it.")],
    reason: Reason,
    state: State = STATE,
    database_url: DatabaseUrl = "",
) -> None:
    """Take a grant back; one administrator always stays."""
    _run(state, database_url, "revoke", f"--reason={reason}", "--", grant)


@app.command(name="list")
def list_(state: State = STATE, database_url: DatabaseUrl = "") -> None:
    """Show who has which role."""
    _run(state, database_url, "list")


def _run(state: Path, database_url: str, *arguments: str) -> None:
    from mesh.local import admin
    from mesh.local.places import Places

    with sentences():
        status = admin.run(Places(state.resolve()), database_url, arguments)
    if status:
        raise typer.Exit(status)

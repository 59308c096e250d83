"""`palestra keys`: the keys that sign access tokens, for whoever runs the machine."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from mesh.local.cli.options import STATE, AsJson, State, of_identity, sentences

app = typer.Typer(
    no_args_is_help=True,
    help="List, turn and withdraw the keys that sign access tokens; nobody need sign in.",
)
Now = Annotated[bool, typer.Option("--now", help="In seconds, though others may not know it yet.")]


@app.command(name="list")
def list_(state: State = STATE, as_json: AsJson = False) -> None:  # noqa: FBT002 - an option
    """Show the keys: the one that signs, the next, those that retire, those withdrawn."""
    _print(_run(state, ["list"]), as_json=as_json)


@app.command()
def turn(
    now: Now = False,  # noqa: FBT002 - an option
    state: State = STATE,
    as_json: AsJson = False,  # noqa: FBT002 - an option
) -> None:
    """Let the next key sign, once it has been published for an hour; no call fails.

    Usually it was published a week ago, and signs at once. Keys turn by themselves every
    week. With --now it is three seconds: the edge and every service know it by then, but a
    partner who verifies tokens himself may not.
    """
    keys = _run(state, ["turn", *(["--now"] if now else [])])
    _print(keys, as_json=as_json)
    _wait(state, keys)


@app.command()
def withdraw(
    why: Annotated[str, typer.Option(help="For the record.")],
    key: Annotated[list[str] | None, typer.Argument(help="Ids, as `list` shows them.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every key there is.")] = False,  # noqa: FBT002
    state: State = STATE,
    as_json: AsJson = False,  # noqa: FBT002 - an option
) -> None:
    """Believe nothing more that a key signed: it leaked. The next key signs at once.

    palestra keys withdraw 01a1fe91-2a33-7099-a5e9-d4504a5db1e3 --why "in a public log"

    Its tokens are refused in every service and at the edge within 5 s. Nobody is signed
    out: clients renew their tokens. Returns when the edge has dropped the key.
    """
    arguments = ["withdraw", f"--why={why}", *(["--all"] if all_ else []), "--", *(key or [])]
    keys = _run(state, arguments)
    _print(keys, as_json=as_json)
    _wait(state, keys)


def _run(state: State, arguments: list[str]) -> list[dict[str, Any]]:
    from mesh.local import keys
    from mesh.local.places import Places

    with sentences():
        return keys.run(Places(state.resolve()), arguments, of_identity(os.environ))


def _print(keys: list[dict[str, Any]], *, as_json: bool) -> None:
    from mesh.local.keys import line

    if as_json:
        typer.echo(json.dumps(keys))
        return
    for key in keys:
        typer.echo(line(key))


def _wait(state: State, keys: list[dict[str, Any]]) -> None:
    """The exit status says whether the edge has heard."""
    from mesh.local.errors import StackError
    from mesh.local.keys import EDGE_S, edge_has
    from mesh.local.places import Places

    with sentences():
        if not edge_has(Places(state.resolve()), keys):
            raise StackError(
                f"done, but the edge has not heard within {EDGE_S:g} s; see `palestra status`. "
                "Services refuse by themselves."
            )

"""A stack's processes: `palestra logs`, `restart`, `scale`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mesh.local.cli.options import STATE, Follow, State, sentences

app = typer.Typer()
_LONGEST_S = 600.0


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="A service, or one process, as in `status`.")],
    state: State = STATE,
    follow: Follow = False,  # noqa: FBT002 - an option
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines to begin with.")] = 50,
) -> None:
    """Print the last lines of a service's logs."""
    from mesh.local import follow as following
    from mesh.local.places import Places

    with sentences():
        chosen = following.chosen(Places(state.resolve()), service)
        try:
            for line in following.lines(chosen, lines, follow=follow):
                typer.echo(line)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        except BrokenPipeError:
            sys.stderr.close()  # the reader has seen enough


@app.command()
def restart(
    service: Annotated[
        str, typer.Argument(help="A service, a subset (training:canary), or one process.")
    ],
    state: State = STATE,
) -> None:
    """Restart a service with no gap; return when it serves again.

    One worker more is started first; then one after the other stops to get calls, ends
    what it has, and is started anew. Code that does not start costs nobody.
    """
    from mesh.local import launch

    with sentences():
        done = launch.ask(state.resolve(), {"restart": service}, _LONGEST_S)
    typer.echo(f"restarted {', '.join(done)}")


@app.command()
def scale(
    wanted: Annotated[str, typer.Argument(metavar="SERVICE[:SUBSET]=N")],
    checkout: Annotated[
        Path | None,
        typer.Option(help="Run a subset from another folder's code.", show_default=False),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of a subset; may be repeated."),
    ] = None,
    state: State = STATE,
) -> None:
    """Start or end workers of a service until there are N; return when all serve.

    palestra scale training=3

    palestra scale training:canary=1 --checkout ../palestra-next

    A subset gets the calls that `palestra route` gives it, and no others; events and jobs
    are left to the service's own workers. Workers that leave end what they have first.
    """
    from mesh.local import launch

    group, equals, number = wanted.partition("=")
    if not equals or not number.isdecimal():
        raise typer.BadParameter(f"{wanted!r} is not SERVICE=N", param_hint="SERVICE=N")
    command = {
        "scale": group,
        "number": int(number),
        "checkout": str(checkout.resolve()) if checkout else "",
        "env": _settings(env or []),
    }
    with sentences():
        done = launch.ask(state.resolve(), command, _LONGEST_S)
    typer.echo(f"{group}: {', '.join(done) or 'none'}")


def _settings(pairs: list[str]) -> dict[str, str]:
    told = {}
    for each in pairs:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="--env")
        told[name] = value
    return told

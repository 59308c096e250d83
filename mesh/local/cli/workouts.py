"""Workouts through a stack: `palestra demo` and `palestra watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mesh.local.cli.options import STATE, Port, State, Tls, options, sentences

app = typer.Typer()
_LOOK_S = 0.5


@app.command()
def demo(
    state: State = STATE,
    port: Port = 8080,
    file: Annotated[
        Path | None, typer.Option(help="A recorded FIT file, instead of a synthetic athlete.")
    ] = None,
    stay: Annotated[bool, typer.Option(help="Stay up after it, until Ctrl-C.")] = True,  # noqa: FBT002
    tls: Tls = False,  # noqa: FBT002 - an option
) -> None:
    """Start everything, play a workout through it, stay up until Ctrl-C."""
    import time

    from rich.console import Console

    from mesh.local import launch
    from mesh.local.demo import DemoFailed, play

    console = Console()
    chosen = options(state, port, tls="1.3" if tls else "")
    with sentences(), launch.attached(chosen) as stack:
        try:
            play(stack, console, file, chosen.state)
            while stay and launch.running(chosen.state) is not None:
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            console.print("draining")
        except DemoFailed as error:
            typer.echo(f"palestra: the demo failed: {error}", err=True)
            raise typer.Exit(1) from None


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def watch(context: typer.Context) -> None:
    """Be a watch: send a recorded or a synthetic workout (see `palestra watch --help`)."""
    from palestra_watch.cli import app as companion

    companion(args=context.args, prog_name="palestra watch")

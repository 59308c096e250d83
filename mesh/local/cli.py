"""The `palestra` command: up, down, status, logs, restart, demo, watch.

Decides words, options and exit statuses. What it does is done by the modules that
it imports when a command is run, so that `--help` costs nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mesh.local.plan import Options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Palestra on one machine: stores, mesh and services with one command.",
)

_STATE = Path(__file__).resolve().parents[2] / ".palestra"

State = Annotated[
    Path,
    typer.Option(help="The folder of this stack's data, sockets and logs.", show_default=False),
]
Port = Annotated[int, typer.Option(help="The edge's TCP port on 127.0.0.1, the only one.")]
Workers = Annotated[
    list[str] | None,
    typer.Option(metavar="SERVICE=N", help="Processes of a service; may be repeated."),
]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return when all is SERVING.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")]
LogLevel = Annotated[str, typer.Option(help="What the processes log.")]


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors that a person can act on are told as a sentence, with exit status 1."""
    from mesh.local.errors import StackError

    try:
        yield
    except StackError as error:
        typer.echo(f"palestra: {error}", err=True)
        raise typer.Exit(1) from None


def _numbers(workers: list[str] | None) -> dict[str, int]:
    numbers = {}
    for each in workers or []:
        service, equals, number = each.partition("=")
        if not equals or not number.isdecimal():
            raise typer.BadParameter(f"{each!r} is not SERVICE=N", param_hint="--workers")
        numbers[service] = int(number)
    return numbers


def options(state: Path, port: int, workers: list[str] | None, log_level: str) -> Options:
    """The options of a start, as `plan` and `launch` take them."""
    from mesh.local.plan import Options

    return Options(state.resolve(), port, _numbers(workers), log_level.upper())


@app.command()
def up(
    state: State = _STATE,
    port: Port = 8080,
    workers: Workers = None,
    log_level: LogLevel = "INFO",
    detach: Detach = False,  # noqa: FBT002 - an option
) -> None:
    """Start everything, and stop it all at Ctrl-C (or go on in the background: --detach)."""
    from mesh.local import launch, plan

    chosen = options(state, port, workers, log_level)

    def ready() -> None:
        facts = plan.facts(chosen)
        typer.echo(f"Palestra is up: REST {facts['rest_url']}  gRPC {facts['grpc_target']}")

    with _sentences():
        if detach:
            launch.detach(chosen)
            ready()
        else:
            launch.supervise(chosen, ready)


@app.command(hidden=True)
def supervise(
    ready_fd: Annotated[int, typer.Option()],
    state: State = _STATE,
    port: Port = 8080,
    workers: Workers = None,
    log_level: LogLevel = "INFO",
) -> None:
    """Be the supervisor behind `up --detach`: tell on a pipe whether all came up."""
    from mesh.local import background

    with os.fdopen(ready_fd, "w") as pipe:
        status = background.run(options(state, port, workers, log_level), pipe)
    raise typer.Exit(status)


@app.command()
def down(state: State = _STATE) -> None:
    """Drain and stop the stack."""
    from mesh.local import launch

    with _sentences():
        stopped = launch.stop(state.resolve())
    typer.echo("Palestra is down." if stopped else "Palestra was not running.")


@app.command()
def status(
    state: State = _STATE,
    as_json: AsJson = False,  # noqa: FBT002 - an option
) -> None:
    """Show every process, and what the proxies rejected.

    Exit status: 0 all is serving, 3 something is not, 4 nothing runs.
    """
    from mesh.local import view

    content = view.gather(state.resolve())
    if as_json:
        typer.echo(json.dumps(content or {"state": "not running", "processes": []}, indent=1))
    elif content is None:
        typer.echo(f"Palestra is not running in {state.resolve()}.")
    else:
        _print(content)
    raise typer.Exit(view.exit_status(content))


def _print(content: dict[str, object]) -> None:
    from rich.console import Console

    from mesh.local import view

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{content['state']}  REST {content['rest_url']}  gRPC {content['grpc_target']}")
    console.print(view.table(content))
    for each in view.rejections(content):
        console.print(each, style="red", markup=False)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="A service, or one process, as in `status`.")],
    state: State = _STATE,
    follow: Follow = False,  # noqa: FBT002 - an option
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines to begin with.")] = 50,
) -> None:
    """Print the last lines of a service's logs."""
    from mesh.local import follow as following
    from mesh.local.places import Places

    with _sentences():
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
    service: Annotated[str, typer.Argument(help="A service, or one process, as in `status`.")],
    state: State = _STATE,
) -> None:
    """Restart a service, one worker after the other; return when it serves again."""
    from mesh.local import commands, launch
    from mesh.local.errors import StackError
    from mesh.local.places import Places

    with _sentences():
        if launch.running(state.resolve()) is None:
            raise StackError(f"no stack is running in {state.resolve()}.")
        done = commands.ask(Places(state.resolve()).commands, {"restart": service}, 300.0)
    typer.echo(f"restarted {', '.join(done['done'])}")


@app.command()
def demo(
    state: State = _STATE,
    port: Port = 8080,
    file: Annotated[
        Path | None, typer.Option(help="A recorded FIT file, instead of a synthetic athlete.")
    ] = None,
    stay: Annotated[bool, typer.Option(help="Stay up after it, until Ctrl-C.")] = True,  # noqa: FBT002
) -> None:
    """Start everything, play a workout through it, stay up until Ctrl-C."""
    import signal

    from rich.console import Console

    from mesh.local import launch
    from mesh.local.demo import DemoFailed, play

    console = Console()
    chosen = options(state, port, None, "INFO")
    with _sentences(), launch.attached(chosen) as stack:
        try:
            play(stack, console, file, chosen.state)
            while stay:
                signal.pause()
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

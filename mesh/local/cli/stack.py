"""A stack as a whole: `palestra up`, `down`, `status`."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from mesh.local.cli.options import (
    STATE,
    AsJson,
    Blobs,
    Detach,
    DirectPort,
    LogLevel,
    Origin,
    PassUnscanned,
    Port,
    Scan,
    State,
    Tls,
    TlsMin,
    Traces,
    TrustedHops,
    Workers,
    options,
    sentences,
)

app = typer.Typer()


@app.command()
def up(
    state: State = STATE,
    port: Port = 8080,
    workers: Workers = None,
    log_level: LogLevel = "INFO",
    origin: Origin = None,
    tls: Tls = False,  # noqa: FBT002 - an option
    tls_min: TlsMin = "1.3",
    trusted_hops: TrustedHops = 0,
    direct_port: DirectPort = 0,
    blobs: Blobs = "",
    scan: Scan = "",
    traces: Traces = "",
    pass_unscanned: PassUnscanned = False,  # noqa: FBT002 - an option
    detach: Detach = False,  # noqa: FBT002 - an option
) -> None:
    """Start everything, and stop it all at Ctrl-C (or go on in the background: --detach)."""
    from mesh.local import files, launch, plan

    chosen = options(
        state,
        port,
        workers,
        log_level,
        origin,
        tls_min if tls else "",
        trusted_hops,
        direct_port,
        blobs,
        scan,
        pass_unscanned=pass_unscanned,
        traces=traces,
    )

    def ready() -> None:
        facts = plan.facts(chosen)
        if told := files.words(files.raise_limit()):
            typer.echo(told, err=True)
        typer.echo(f"Palestra is up: REST {facts['rest_url']}  gRPC {facts['grpc_target']}")
        if "ca" in facts:
            typer.echo(f"Its certificate is vouched for by {facts['ca']}")

    with sentences():
        if detach:
            launch.detach(chosen)
            ready()
        else:
            launch.supervise(chosen, ready)


@app.command(hidden=True)
def supervise(
    ready_fd: Annotated[int, typer.Option()],
    state: State = STATE,
    port: Port = 8080,
    workers: Workers = None,
    log_level: LogLevel = "INFO",
    origin: Origin = None,
    tls: Tls = False,  # noqa: FBT002 - an option
    tls_min: TlsMin = "1.3",
    trusted_hops: TrustedHops = 0,
    direct_port: DirectPort = 0,
    blobs: Blobs = "",
    scan: Scan = "",
    traces: Traces = "",
    pass_unscanned: PassUnscanned = False,  # noqa: FBT002 - an option
) -> None:
    """Be the supervisor behind `up --detach`: tell on a pipe whether all came up."""
    from mesh.local import background

    with os.fdopen(ready_fd, "w") as pipe:
        chosen = options(
            state,
            port,
            workers,
            log_level,
            origin,
            tls_min if tls else "",
            trusted_hops,
            direct_port,
            blobs,
            scan,
            pass_unscanned=pass_unscanned,
            traces=traces,
        )
        status = background.run(chosen, pipe)
    raise typer.Exit(status)


@app.command()
def down(state: State = STATE) -> None:
    """Drain and stop the stack."""
    from mesh.local import launch

    with sentences():
        stopped = launch.stop(state.resolve())
    typer.echo("Palestra is down." if stopped else "Palestra was not running.")


@app.command()
def status(
    state: State = STATE,
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

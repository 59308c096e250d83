"""Words and options that the commands share, and how their errors are told.

Decides the exit status of what a person can act on: 1, with a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mesh.local.plan import Options

_IDENTITY = "PALESTRA_IDENTITY_"
# Of these a file is meant, from wherever `palestra` was started.
_FILES = frozenset({f"{_IDENTITY}BREACHED_PASSWORDS", f"{_IDENTITY}SSO_SECRET_FILE"})
STATE = Path(__file__).resolve().parents[3] / ".palestra"

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

Origin = Annotated[
    list[str] | None,
    typer.Option(help="Whose pages may use the edge: https://*.app.example; may be repeated."),
]
Tls = Annotated[bool, typer.Option("--tls", help="Serve HTTPS, by a CA of this machine's own.")]
TrustedHops = Annotated[
    int,
    typer.Option(help="Proxies of yours before the edge, whose X-Forwarded-For says who called."),
]
DirectPort = Annotated[
    int,
    typer.Option(
        help="Lets gRPC clients with xds:/// targets call services directly, by mTLS at this and "
        "the following ports of 127.0.0.1.",
        show_default=False,
    ),
]
TlsMin = Annotated[str, typer.Option(help="The oldest TLS that is served: 1.3 or 1.2.")]
Blobs = Annotated[
    str,
    typer.Option(
        envvar="PALESTRA_BLOBS_URL",
        help="Where files of people lie: s3://bucket/prefix. In the state folder by default.",
    ),
]
Scan = Annotated[
    str,
    typer.Option(
        envvar="PALESTRA_BLOBS_SCAN",
        help="Who is asked about each upload: 'command PROGRAM', 'clamd unix:PATH'. Nobody.",
    ),
]
Traces = Annotated[
    str,
    typer.Option(
        envvar="PALESTRA_TRACE_ENDPOINT",
        help="Where services send spans by OTLP/HTTP: http://127.0.0.1:4318/v1/traces. Nowhere.",
    ),
]
PassUnscanned = Annotated[
    bool,
    typer.Option(
        "--pass-unscanned",
        envvar="PALESTRA_BLOBS_PASS_UNSCANNED",
        help="Let files pass while the scanner does not answer.",
    ),
]


@contextmanager
def sentences() -> Iterator[None]:
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


def of_identity(environ: Mapping[str, str]) -> dict[str, str]:
    """Identity's settings, as the environment has them; what is no setting of its, it refuses."""
    told = {name: value for name, value in environ.items() if name.startswith(_IDENTITY)}
    return {
        name: str(Path(value).resolve()) if name in _FILES and value else value
        for name, value in told.items()
    }


def options(
    state: Path,
    port: int,
    workers: list[str] | None = None,
    log_level: str = "INFO",
    origin: list[str] | None = None,
    tls: str = "",
    trusted_hops: int = 0,
    direct_port: int = 0,
    blobs: str = "",
    scan: str = "",
    *,
    pass_unscanned: bool = False,
    traces: str = "",
) -> Options:
    """The options of a start, as `plan` and `launch` take them."""
    from mesh.local.plan import Options

    return Options(
        state.resolve(),
        port,
        _numbers(workers),
        log_level.upper(),
        origins=",".join(origin or ["*"]),
        tls=tls,
        trusted_hops=trusted_hops,
        direct_port=direct_port,
        blobs=blobs,
        scan=scan,
        pass_unscanned=pass_unscanned,
        traces=traces,
        identity=of_identity(os.environ),
    )

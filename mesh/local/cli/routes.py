"""`palestra route`: a canary's share of the calls, a developer's own copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mesh import catalog
from mesh.local.cli.options import STATE, State, sentences

app = typer.Typer(
    no_args_is_help=True,
    help="Send a share of a service's calls, or those with a header, to other workers.",
)
Service = Annotated[str, typer.Argument(help="The service that is called, by whomever.")]
Header = Annotated[
    str, typer.Option(metavar="x-palestra-dev=NAME", help="The calls that carry this.")
]


@app.command(name="set")
def set_(
    service: Service,
    canary: Annotated[
        list[str],
        typer.Option(metavar="SUBSET=PERCENT", help="0 % takes it away; may be repeated."),
    ],
    state: State = STATE,
) -> None:
    """Give subsets of a service's workers a share of its calls.

    palestra route set training --canary next=10%

    Each call is drawn anew, whoever makes it. Where no worker of the subset is healthy,
    the service's own answer instead.
    """
    from mesh.local import wishes

    shares = dict(_share(each) for each in canary)

    def change(document: dict[str, Any]) -> None:
        weights = _of(document, service, "weights")
        for subset, percent in shares.items():
            weights.pop(subset, None)
            if percent:
                wishes.refuse_nobody(state.resolve(), service, subset)
                weights[subset] = percent

    with sentences():
        wishes.change(state.resolve(), change)
    _print(state)


@app.command()
def add(
    service: Service,
    header: Header,
    to: Annotated[
        str, typer.Option(metavar="unix:/PATH|SUBSET", help="A worker's socket, or a subset.")
    ],
    state: State = STATE,
) -> None:
    """Send the calls with a header to a copy of the service, and to nobody else.

    palestra route add training --header x-palestra-dev=anna --to anna

    The header travels on with every call that a service makes for it. Where the copy does
    not answer, neither does anybody else: an answer is always the copy's.
    """
    from mesh.local import wishes

    value, target = _value(header), to.removeprefix(f"{service}:")

    def change(document: dict[str, Any]) -> None:
        wishes.refuse_nobody(state.resolve(), service, target)
        _of(document, service, "headers")[value] = target

    with sentences():
        wishes.change(state.resolve(), change)
    _print(state)


@app.command()
def remove(
    service: Service,
    header: Annotated[
        str | None, typer.Option(metavar="x-palestra-dev=NAME", help="This way alone.")
    ] = None,
    state: State = STATE,
) -> None:
    """Send a service's calls to its own workers again. Streams stay where they are."""
    from mesh.local import wishes
    from mesh.local.errors import StackError

    def change(document: dict[str, Any]) -> None:
        if header is None:
            gone = document["routes"].pop(service, None)
        else:
            gone = _of(document, service, "headers").pop(_value(header), None)
        if gone is None:
            raise StackError(f"{service} has no such way.")

    with sentences():
        wishes.change(state.resolve(), change)
    _print(state)


@app.command(name="list")
def list_(state: State = STATE) -> None:
    """Show where calls go besides the services' own workers."""
    _print(state)


def _print(state: Path) -> None:
    from mesh.local import wishes

    routes = wishes.read(state.resolve())["routes"]
    for service, each in sorted(routes.items()):
        for subset, percent in each.get("weights", {}).items():
            typer.echo(f"{service}: {percent:g} % to {service}:{subset}")
        for value, target in each.get("headers", {}).items():
            where = target if target.startswith("unix:") else f"{service}:{target}"
            typer.echo(f"{service}: {catalog.DEVELOPER_HEADER}={value} to {where}")
    if not routes:
        typer.echo("Every call goes to its service's own workers.")


def _of(document: dict[str, Any], service: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = document["routes"].setdefault(service, {}).setdefault(kind, {})
    return found


def _share(text: str) -> tuple[str, float]:
    subset, _, percent = text.partition("=")
    try:
        return subset, float(percent.removesuffix("%"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not SUBSET=PERCENT") from None


def _value(header: str) -> str:
    name, _, value = header.partition("=")
    if name.lower() != catalog.DEVELOPER_HEADER or not value:
        raise typer.BadParameter(
            f"{header!r} is not {catalog.DEVELOPER_HEADER}=NAME, the one header that travels on"
        )
    return value

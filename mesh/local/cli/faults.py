"""`palestra fault`: failures on purpose, for a while."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.local.cli.options import STATE, State, sentences

app = typer.Typer(
    no_args_is_help=True,
    help="Make a share of a service's calls slow or fail, to see what depends on it.",
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
Service = Annotated[str, typer.Argument(help="The service whose calls are to suffer.")]


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no time, such as 200ms, 60s, 5m")
    return float(found[1]) * _UNITS[found[2]]


@app.command()
def add(
    service: Service,
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="At most 24h.")],
    percent: Annotated[float, typer.Option(help="Of the calls, 0.01 to 100.")] = 100.0,
    delay: Annotated[str | None, typer.Option(metavar="TIME", help="At most 60s.")] = None,
    abort: Annotated[
        str | None, typer.Option(metavar="CODE", help="A gRPC code or HTTP status: UNAVAILABLE.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="One method alone: GetActivity, or its gRPC path.")
    ] = None,
    state: State = STATE,
) -> None:
    """Delay a share of the calls, or answer them with an error; it ends by itself.

    palestra fault add training --delay 200ms --percent 10 --for 60s

    palestra fault add training --abort UNAVAILABLE --method GetActivity --for 5m

    Calls suffer at the service's door, whoever makes them, and streams as they open. What
    is harmless to repeat is tried again, as after a failure of the service's own. Injected
    errors have the reason FAULT_INJECTED.
    """
    from mesh.local import wishes

    fault: dict[str, Any] = {"service": service, "percent": percent}
    with sentences():
        lasting_s = _lasting_s(duration)
        if method:
            fault["method"] = _path(service, method)
        if delay:
            fault["delay_ms"] = round(_seconds(delay) * 1000)
        if abort:
            fault["abort"] = _code(abort)
        fault["until_s"] = round(time.time() + lasting_s, 3)
        wishes.change(state.resolve(), lambda document: document["faults"].append(fault))
    _print(state)


@app.command()
def remove(service: Service, state: State = STATE) -> None:
    """End a service's faults now."""
    from mesh.local import wishes
    from mesh.local.errors import StackError

    def change(document: dict[str, Any]) -> None:
        left = [each for each in document["faults"] if each["service"] != service]
        if len(left) == len(document["faults"]):
            raise StackError(f"{service} has no faults.")
        document["faults"] = left

    with sentences():
        wishes.change(state.resolve(), change)
    _print(state)


@app.command(name="list")
def list_(state: State = STATE) -> None:
    """Show the faults that hold, and for how long."""
    _print(state)


def _print(state: Path) -> None:
    from mesh.local import wishes

    faults = wishes.read(state.resolve())["faults"]
    for each in faults:
        what = [f"{each['delay_ms']} ms late"] if each.get("delay_ms") else []
        what += [each["abort"]] if each.get("abort") else []
        left_s = max(0.0, each["until_s"] - time.time())
        where = each.get("method") or each["service"]
        typer.echo(f"{where}: {each['percent']:g} % {' and '.join(what)}, {left_s:.0f} s more")
    if not faults:
        typer.echo("No faults.")


def _lasting_s(text: str) -> float:
    from mesh.control.traffic import LONGEST_S
    from mesh.local.errors import StackError

    lasting_s = _seconds(text)
    if not 0 < lasting_s <= LONGEST_S:
        raise StackError(f"--for {text}: more than nothing and at most 24h.")
    return lasting_s


def _code(text: str) -> str:
    """A gRPC code's name, of itself or of an HTTP status."""
    from mesh.control.traffic import ABORTS, OF_STATUSES
    from mesh.local.errors import StackError

    code = OF_STATUSES.get(text, text.upper())
    if code not in ABORTS:
        raise StackError(
            f"--abort {text}: give {', '.join(ABORTS)}, or of HTTP {', '.join(OF_STATUSES)}."
        )
    return code


def _path(service: str, method: str) -> str:
    from mesh import policy
    from mesh.local.errors import StackError

    paths = [each.path for each in policy.load().of_service(service)]
    found = [path for path in paths if method in (path, path.rpartition("/")[2])]
    if len(found) != 1:
        names = ", ".join(path.rpartition("/")[2] for path in paths) or "none"
        raise StackError(f"{service} has no method {method!r}; there are {names}.")
    return found[0]

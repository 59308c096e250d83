"""`palestra call`: any method of the contract from the shell, JSON in, JSON out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.local.cli.dialogue import As, Ca, Target, run
from mesh.local.cli.options import STATE, State

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from palestra_client import Method, Palestra

app = typer.Typer()
List = Annotated[
    bool, typer.Option("--list", help="List the methods, those with METHOD in their names.")
]
Describe = Annotated[
    bool, typer.Option("--describe", help="Show what the method asks for, and its policy.")
]
_LARGEST_BYTES = 8 << 20


def _completed(incomplete: str) -> list[str]:
    from palestra_client import methods

    names = [each.name for each in methods()]
    # A service's methods once it is begun, and any method by its own name.
    names += [name.rpartition(".")[2] for name in names] if incomplete else []
    return sorted({name for name in names if name.startswith(incomplete)})


@app.command()
def call(
    method: Annotated[
        str,
        typer.Argument(
            help="GetProfile, ProfileService.GetProfile, or its gRPC path.",
            autocompletion=_completed,
        ),
    ] = "",
    request: Annotated[
        str, typer.Argument(help="JSON, @FILE, or - for standard input.", metavar="[JSON]")
    ] = "{}",
    name: As = "me",
    list_: List = False,  # noqa: FBT002 - an option
    describe: Describe = False,  # noqa: FBT002 - an option
    state: State = STATE,
    target: Target = "",
    ca: Ca = None,
) -> None:
    """Call any method through the edge, as somebody of `palestra account`.

    palestra call GetProfile '{"name": "users/me"}'

    palestra call Block '{"parent": "users/me", "user": "users/…"}' --as vera

    Streams are lines of JSON until they end. A method that asks for a fresh sign-in asks the
    person. Exit status: 1 where the edge refuses (the reason is on standard error), 2 where
    the request is none of the method's.
    """
    if list_:
        _list(method)
    elif not method:
        typer.echo("palestra: give a METHOD, or --list.", err=True)
        raise typer.Exit(2)
    elif describe:
        _describe(method)
    else:
        run(_calling(method, _read(request)), state, name, target, ca)


def _calling(name: str, request: Mapping[str, Any]) -> Any:
    async def work(palestra: Palestra) -> None:
        from palestra_client import method_of

        if method_of(name).server_streaming:
            async for answer in palestra.stream(name, request):
                typer.echo(_json(answer, indent=None))
        else:
            typer.echo(_json(await palestra.call(name, request), indent=2))

    return work


def _read(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read(_LARGEST_BYTES)
        elif text.startswith("@"):
            text = Path(text[1:]).read_text()
        told = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"no JSON: {error}", param_hint="JSON") from None
    if not isinstance(told, dict):
        raise typer.BadParameter("an object is needed", param_hint="JSON")
    return told


def _json(message: Message, indent: int | None) -> str:
    from google.protobuf import json_format

    # As REST has it: what is empty is told as well.
    return json_format.MessageToJson(
        message, indent=indent, always_print_fields_with_no_presence=True, ensure_ascii=False
    )


def _list(part: str) -> None:
    from palestra_client import methods

    for each in methods():
        if part.lower() in f"{each.domain}.{each.name}".lower():
            typer.echo(f"{each.domain:<12} {each.name}")


def _describe(name: str) -> None:
    from palestra_client import method_of

    try:
        found = method_of(name)
    except LookupError as error:
        typer.echo(f"palestra: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{found.rule.path}{_ways(found)}")
    for field in found.descriptor.input_type.fields:
        inner = field.message_type or field.enum_type
        kind = str(inner.full_name) if inner is not None else _KINDS.get(field.type, "?")
        many = "repeated " if field.is_repeated else ""
        choice = field.containing_oneof
        of = f"  one of {choice.name}" if choice is not None and len(choice.fields) > 1 else ""
        typer.echo(f"  {field.json_name}: {many}{kind}{of}")


def _ways(method: Method) -> str:
    from palestra.mesh.v1 import policy_pb2

    policy = method.descriptor.GetOptions().Extensions[policy_pb2.policy]
    said = [policy_pb2.Access.Name(policy.access).removeprefix("ACCESS_").lower()]
    said += [f"roles {', '.join(policy.roles)}"] if policy.roles else []
    said += [f"scope {policy.scope}"] if policy.scope else []
    said += [f"sign-in of the last {policy.fresh_auth_s} s"] if policy.fresh_auth_s else []
    said += ["answers are a stream"] if method.server_streaming else []
    return f"\n  ({'; '.join(said)})"


_KINDS = {
    **dict.fromkeys((1, 2), "number"),
    **dict.fromkeys((5, 7, 13, 15, 17), "whole number"),
    **dict.fromkeys((3, 4, 6, 16, 18), "whole number, as a string"),
    8: "true or false",
    9: "string",
    12: "base64",
}
"""By the numbers of protobuf's field types."""

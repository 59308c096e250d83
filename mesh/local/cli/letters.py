"""`palestra mail`: what a stack wrote to people, which nothing carries further on one machine."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from mesh.local.cli.options import STATE, AsJson, Follow, State, sentences

app = typer.Typer()


@app.command()
def mail(
    address: Annotated[
        str, typer.Argument(help="Whose letters: an e-mail address or a phone number. All.")
    ] = "",
    state: State = STATE,
    as_json: AsJson = False,  # noqa: FBT002 - an option
    follow: Follow = False,  # noqa: FBT002 - an option
) -> None:
    """Show the letters and messages with codes that would have gone to people.

    palestra mail vera@example.com

    At most 1000 are kept, for at most 7 days.
    """
    from mesh.local import mail as box
    from mesh.local.places import Places

    with sentences():
        try:
            for letter in box.letters(Places(state.resolve()), address, follow=follow):
                typer.echo(json.dumps(letter, ensure_ascii=False) if as_json else box.line(letter))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
        except BrokenPipeError:
            sys.stderr.close()  # the reader has seen enough

"""The command line: `palestra watch replay FILE`, `palestra watch simulate`.

Owns the options. Exit status: 0 the server has everything; 1 something is kept
for the next time, or lost; 2 nothing could begin; 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palestra_watch.companion import PATIENCE_S
from palestra_watch.jobs import How, of_athlete, of_file, send
from palestra_watch.state import default_folder

TARGET = "127.0.0.1:8080"

app = typer.Typer(
    help="The watch companion: sends workouts to Palestra, live, with nothing lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Speed = Annotated[
    float, typer.Option(min=0, help="1 is real time; 0 is as fast as the server acknowledges.")
]
Token = Annotated[str, typer.Option(envvar="PALESTRA_TOKEN", help="An access token.")]
RefreshToken = Annotated[
    str, typer.Option(envvar="PALESTRA_REFRESH_TOKEN", help="Renews the access token.")
]
TokenFile = Annotated[
    Path | None, typer.Option(help="A sign-in that palestra_client keeps, instead of --token.")
]
Target = Annotated[str, typer.Option(envvar="PALESTRA_TARGET", help="HOST:PORT of the edge.")]
Ca = Annotated[
    Path | None,
    typer.Option(
        envvar="PALESTRA_CA",
        exists=True,
        dir_okay=False,
        help="Connect by TLS, to a server whom this PEM file vouches for.",
    ),
]
State = Annotated[
    Path | None,
    typer.Option(help="Where what is not yet sent is kept; by default under ~/.local/state."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
LedgerFile = Annotated[Path | None, typer.Option(help="Write every sample sent to this file.")]
WebSocket = Annotated[
    bool, typer.Option("--ws", help="Over WebSocket, for networks that let no gRPC through.")
]
JsonFrames = Annotated[
    bool, typer.Option("--json-frames", help="With --ws: JSON frames instead of binary ones.")
]
Patience = Annotated[
    float, typer.Option("--patience", min=0, help="Give up after so many s with no progress.")
]


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A recorded FIT file.")],
    speed: Speed = 1.0,
    token: Token = "",
    refresh_token: RefreshToken = "",
    token_file: TokenFile = None,
    target: Target = TARGET,
    ca: Ca = None,
    state: State = None,
    again: Annotated[  # noqa: FBT002 - typer passes by name
        bool, typer.Option(help="Send it once more, as another workout.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002 - typer passes by name
    ledger: LedgerFile = None,
    patience: Patience = PATIENCE_S,
    ws: WebSocket = False,  # noqa: FBT002 - typer passes by name
    json_frames: JsonFrames = False,  # noqa: FBT002 - typer passes by name
) -> None:
    """Send a recorded workout as if it happened now; after a cut, run it again to go on."""
    folder = state or default_folder()
    how = How(
        *(speed, target, token, refresh_token, token_file, folder, as_json, ledger, patience),
        websocket=ws or json_frames,
        json_frames=json_frames,
        ca=ca,
    )
    raise typer.Exit(send(of_file(file, again=again), how))


@app.command()
def simulate(
    sport: Annotated[str, typer.Option(help="running or cycling.")] = "running",
    duration: Annotated[int, typer.Option(min=1, help="In s.")] = 600,
    seed: Annotated[int, typer.Option(help="The same seed makes the same workout.")] = 1,
    speed: Speed = 1.0,
    token: Token = "",
    refresh_token: RefreshToken = "",
    token_file: TokenFile = None,
    target: Target = TARGET,
    ca: Ca = None,
    state: State = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer passes by name
    ledger: LedgerFile = None,
    patience: Patience = PATIENCE_S,
    ws: WebSocket = False,  # noqa: FBT002 - typer passes by name
    json_frames: JsonFrames = False,  # noqa: FBT002 - typer passes by name
) -> None:
    """Send a synthetic athlete's workout; after a cut, run it again to go on."""
    folder = state or default_folder()
    how = How(
        *(speed, target, token, refresh_token, token_file, folder, as_json, ledger, patience),
        websocket=ws or json_frames,
        json_frames=json_frames,
        ca=ca,
    )
    raise typer.Exit(send(of_athlete(sport, duration, seed), how))

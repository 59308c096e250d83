"""What a command asks for -> sessions to send, and their sending one after the other.

Decides the exit status. Owns no option and no protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from palestra_client import Palestra, PalestraError, TokenStore
from palestra_watch import clock, state
from palestra_watch.companion import Companion, Settings
from palestra_watch.ledger import Ledger
from palestra_watch.line import Dial
from palestra_watch.line_grpc import over_grpc
from palestra_watch.line_websocket import over_websocket
from palestra_watch.log_file import SpoolDamaged
from palestra_watch.progress import Display, display
from palestra_watch.recording import Recording, SourceError
from palestra_watch.replay import Speed
from palestra_watch.report import Report
from palestra_watch.sources.fit import read_fit
from palestra_watch.sources.simulate import simulate
from palestra_watch.spool import Spool, SpoolBusy
from palestra_watch.tokens import TokenSource, token_source

DELIVERED, UNDELIVERED, IMPOSSIBLE, INTERRUPTED = 0, 1, 2, 130
_CANNOT_BEGIN = (
    SourceError,
    SpoolBusy,
    SpoolDamaged,
    state.SourceChanged,
    ValueError,
    OSError,
    PalestraError,
)


@dataclass(frozen=True, slots=True)
class How:
    """The options that every command has."""

    speed: float
    target: str
    token: str
    refresh_token: str
    token_file: Path | None
    state: Path
    as_json: bool
    ledger: Path | None
    patience_s: float
    websocket: bool = False
    """Over WebSocket instead of gRPC."""
    json_frames: bool = False
    """As JSON instead of binary frames; over WebSocket only."""
    ca: Path | None = None
    """Who vouches for the server, as PEM; the usual authorities where absent."""

    def connect(self, store: TokenStore | None = None) -> Palestra:
        """A connection to the server.

        Raises:
            OSError: the file of who vouches for it cannot be read.
        """
        return Palestra(self.target, store=store, ca=self.ca.read_bytes() if self.ca else None)


@dataclass(frozen=True, slots=True)
class Job:
    """A recording and the spool that it goes through."""

    recording: Recording
    spool: Spool


Jobs = Callable[[Path, str], Iterator[Job]]
"""From the state folder and the owner to the jobs; each spool is shut before the next job."""


def of_file(file: Path, *, again: bool) -> Jobs:
    """The sessions of a FIT file."""

    def jobs(folder: Path, owner: str) -> Iterator[Job]:
        content = file.read_bytes()
        for leg, recording in enumerate(read_fit(file)):
            source = state.content_key(content, leg)
            with state.open_spool(folder, source, owner, again=again) as spool:
                state.begin(spool, recording, source)
                yield Job(recording, spool)

    return jobs


def of_athlete(sport: str, duration_s: int, seed: int) -> Jobs:
    """A synthetic athlete's session: the unfinished one of the same arguments, else a new one."""

    def jobs(folder: Path, owner: str) -> Iterator[Job]:
        source = f"simulated|{sport}|{duration_s}|{seed}"
        with state.open_spool(folder, source, owner, again=True) as spool:
            start_ms = clock.now_ms()
            if spool.identity is not None:
                start_ms = clock.to_ms(spool.identity.described().start_time)
            recording = simulate(sport, duration_s, seed, start_ms)
            state.begin(spool, recording, source)
            yield Job(recording, spool)

    return jobs


def send(jobs: Jobs, how: How) -> int:
    """Sends what the jobs hold and says what became of it; answers with the exit status."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        reports = asyncio.run(_send(jobs, how, errors))
    except _CANNOT_BEGIN as error:
        errors.print(f"palestra watch: {error}")
        return IMPOSSIBLE
    except KeyboardInterrupt:
        errors.print("palestra watch: interrupted; what is not sent is kept, run it again")
        return INTERRUPTED
    if how.as_json:
        typer.echo(json.dumps({"sessions": [report.as_json() for report in reports]}))
    else:
        for report in reports:
            typer.echo("\n".join(report.in_words()))
    return DELIVERED if all(report.whole for report in reports) else UNDELIVERED


async def _send(jobs: Jobs, how: How, errors: Console) -> list[Report]:
    async with contextlib.AsyncExitStack() as stack:

        def client(store: TokenStore) -> Palestra:
            # The sign-in is renewed over a connection of its own, made when it is needed.
            made = how.connect(store)
            stack.push_async_callback(made.close)
            return made

        tokens, owner = token_source(client, how.token, how.refresh_token, how.token_file)
        dial = await _dial(how, stack)
        shown = stack.enter_context(display(errors, shown=not how.as_json))
        # One after the other: as a watch would, and each spool is open only while it is sent.
        return [await _send_one(job, how, dial, tokens, shown) for job in jobs(how.state, owner)]


async def _dial(how: How, stack: contextlib.AsyncExitStack) -> Dial:
    if how.websocket:
        return over_websocket(how.target, as_json=how.json_frames, ca=how.ca)
    line = await stack.enter_async_context(how.connect())
    return over_grpc(line.channel)


async def _send_one(job: Job, how: How, dial: Dial, tokens: TokenSource, shown: Display) -> Report:
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(shown.session(job.recording))
        settings = Settings(Speed(how.speed), how.patience_s, on_status=bar.show)
        ledger = None
        if how.ledger is not None and job.spool.identity is not None:
            identity = job.spool.identity
            ledger = Ledger(how.ledger, identity.session, identity.described())
            stack.callback(ledger.close)
        return await Companion(dial, tokens, job.recording, job.spool, settings, ledger).run()

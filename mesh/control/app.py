"""The control plane as a process: settings, start, stop.

Owns the environment's reading and the tasks' life. Serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog
import uvloop
from google.protobuf.message import DecodeError

from mesh import policy
from mesh.control import wire
from mesh.control.inputs import Settings
from mesh.control.plane import Plane
from mesh.control.record import Record
from mesh.control.server import Discovery, serve

_GRACE_S = 0.2
_log = structlog.get_logger("mesh.control")


class SettingsError(ValueError):
    """The environment lacks something or says something impossible."""


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings; PALESTRA_STATE alone must be there.

    Raises:
        SettingsError: it is not, or the port is no port.
    """
    state = environment.get("PALESTRA_STATE", "")
    if not state:
        raise SettingsError("PALESTRA_STATE is not set: it names the stack's state folder")
    port = environment.get("PALESTRA_EDGE_PORT", "8080")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise SettingsError(f"PALESTRA_EDGE_PORT is no port: {port!r}")
    return Settings(
        state=Path(state).absolute(),
        contract=Path(environment.get("PALESTRA_CONTRACT") or policy.DESCRIPTOR_SET).absolute(),
        edge_host=environment.get("PALESTRA_EDGE_HOST", "127.0.0.1"),
        edge_port=int(port),
        log_level=environment.get("PALESTRA_LOG_LEVEL", "INFO").upper(),
    )


async def run(settings: Settings) -> None:
    """Serves until told to stop."""
    for folder in (settings.run, settings.mesh):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = Record(settings.mesh / "control.json")
    discovery = Discovery(record)
    plane = Plane(settings, record, discovery)
    plane.start()
    server = await serve(discovery, settings.run / "xds.sock")
    record.write()
    _log.info("serving", edge=f"{settings.edge_host}:{settings.edge_port}")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    work = (
        plane.watch_files(),
        plane.watch_keys(),
        plane.watch_certificates(),
        record.keep_written(),
    )
    tasks = [asyncio.ensure_future(stop.wait()), *map(asyncio.ensure_future, work)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.stop(_GRACE_S)
    for task in done:
        # A watcher that ended did so by an error: the supervisor starts us anew.
        task.result()


def main() -> None:
    """`python -m mesh.control`."""
    try:
        settings = settings_of(os.environ)
    except SettingsError as error:
        sys.exit(f"mesh.control: {error}")
    _log_as_json(settings.log_level)
    wire.trust_own_messages()
    try:
        uvloop.run(run(settings))
    except (OSError, ValueError, KeyError, DecodeError) as error:
        sys.exit(f"mesh.control: {error}")


def _log_as_json(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level, logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

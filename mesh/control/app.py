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

from gateway import origins
from gateway.origins import Origins
from mesh import catalog, policy
from mesh.control import site, wire
from mesh.control.authority import GRACE
from mesh.control.inputs import Settings
from mesh.control.plane import Plane
from mesh.control.record import Record
from mesh.control.resources import endpoints
from mesh.control.resources.endpoints import Host
from mesh.control.selection import Judge
from mesh.control.server import Discovery, serve

_GRACE_S = 0.2
MAX_LIFETIME_S = 86_400
MAX_HOPS = 8
HIGHEST_PORT = 65_535
_LIFETIMES = {
    "certificate_s": "PALESTRA_CERTIFICATE_S",
    "connection_age_s": "PALESTRA_CONNECTION_AGE_S",
}
_GRACE_PERCENT, _GRACE = "PALESTRA_CERTIFICATE_GRACE_PERCENT", round(100 * GRACE)
_log = structlog.get_logger("mesh.control")


class SettingsError(ValueError):
    """The environment lacks something or says something impossible."""


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings; PALESTRA_STATE alone must be there.

    Raises:
        SettingsError: it is not, or the port is no port, or a lifetime none.
    """
    state = environment.get("PALESTRA_STATE", "")
    if not state:
        raise SettingsError("PALESTRA_STATE is not set: it names the stack's state folder")
    port = environment.get("PALESTRA_EDGE_PORT", "8080")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise SettingsError(f"PALESTRA_EDGE_PORT is no port: {port!r}")
    lifetimes = {
        field: _seconds(environment, name)
        for field, name in _LIFETIMES.items()
        if environment.get(name)
    }
    return Settings(
        state=Path(state).absolute(),
        contract=Path(environment.get("PALESTRA_CONTRACT") or policy.DESCRIPTOR_SET).absolute(),
        edge_host=environment.get("PALESTRA_EDGE_HOST", "127.0.0.1"),
        edge_port=int(port),
        log_level=environment.get("PALESTRA_LOG_LEVEL", "INFO").upper(),
        origins=_origins(environment.get("PALESTRA_WEB_ORIGINS", "*")),
        trusted_hops=_whole(environment, "PALESTRA_TRUSTED_HOPS", 0, 0, MAX_HOPS),
        limiter_timeout_s=_whole(environment, "PALESTRA_LIMITER_TIMEOUT_MS", 50, 1, 1_000) / 1000,
        certificate_grace=_whole(environment, _GRACE_PERCENT, _GRACE, 10, 90) / 100,
        tls=_tls(environment.get("PALESTRA_EDGE_TLS", "")),
        direct_port=_direct_port(environment.get("PALESTRA_DIRECT_PORT") or "0"),
        own=_own(environment.get("PALESTRA_LOCALITY", "")),
        **lifetimes,
    )


def _direct_port(text: str) -> int:
    if not text.isdecimal() or int(text) > HIGHEST_PORT - len(catalog.SERVICES):
        raise SettingsError(f"PALESTRA_DIRECT_PORT is no port, or too high: {text!r}")
    return int(text)


def _own(text: str) -> Host | None:
    if not text:
        return None
    try:
        return endpoints.standing_at(text)
    except endpoints.EndpointsError as error:
        raise SettingsError(f"PALESTRA_LOCALITY: {error}") from None


def _seconds(environment: Mapping[str, str], name: str) -> float:
    try:
        value = float(environment[name])
    except ValueError:
        value = 0.0
    if not 1 <= value <= MAX_LIFETIME_S:
        raise SettingsError(
            f"{name} is no number of seconds from 1 to {MAX_LIFETIME_S}: {environment[name]!r}"
        )
    return value


def _tls(text: str) -> str:
    if text and text not in site.MINIMA:
        raise SettingsError(f"PALESTRA_EDGE_TLS is none of {', '.join(site.MINIMA)}: {text!r}")
    return text


def _whole(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise SettingsError(f"{name} is no whole number from {least} to {most}: {text!r}")
    return int(text)


def _origins(text: str) -> Origins:
    try:
        return origins.parse(text)
    except origins.OriginError as error:
        raise SettingsError(f"PALESTRA_WEB_ORIGINS: {error}") from None


async def run(settings: Settings, judge: Judge | None = None) -> None:
    """Serves until told to stop; a real Envoy judges, unless another judge is given."""
    for folder in (settings.run, settings.mesh):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = Record(settings.mesh / "control.json")
    discovery = Discovery(record)
    plane = Plane(settings, record, discovery, judge)
    plane.start()
    server = await serve(discovery, settings.run / "xds.sock")
    record.write()
    _log.info("serving", edge=f"{settings.edge_host}:{settings.edge_port}")
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    work = (
        plane.watch_files(),
        plane.watch_slices(),
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

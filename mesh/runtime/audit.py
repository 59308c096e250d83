"""Audit records: who did what to what, and how it ended, for methods that the contract names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import bindparam, insert

from mesh.runtime import metrics
from mesh.runtime.calls import Call
from mesh.runtime.ids import uuid7
from mesh.runtime.sql import Database, Statement
from mesh.runtime.tables import AUDIT

LONGEST_RESOURCE = 256
_log = structlog.get_logger(__name__)
_RECORD = Statement(
    insert(AUDIT).values({name: bindparam(name) for name in AUDIT.c.keys()})  # noqa: SIM118
)


class Auditor:
    """Writes audit records into the service's own schema."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, call: Call, resource: str, outcome: str) -> None:
        """Keeps one record.

        A failure, whatever it is, is logged and counted: the change has happened already, or
        the refusal is on its way.
        """
        values = {
            "method": call.method,
            "caller": call.caller,
            "actor": call.actor,
            "resource": resource,
            "outcome": outcome,
            "request_id": call.request_id,
        }
        await self._keep(values)

    async def note(self, command: str, operator: str, resource: str, outcome: str) -> None:
        """Keeps a record of what an operator did by a command, with no call; likewise."""
        values = {
            "method": command,
            "caller": "operator",
            "actor": operator,
            "resource": resource,
            "outcome": outcome,
            "request_id": "",
        }
        await self._keep(values)

    async def _keep(self, values: dict[str, Any]) -> None:
        # As a refused request had it: of any length, with any character.
        clean = values["resource"][:LONGEST_RESOURCE].replace("\0", "\N{REPLACEMENT CHARACTER}")
        row = {"id": uuid7(), "at": datetime.now(UTC), **values, "resource": clean}
        try:
            await self._database.run(_RECORD, row)
        except Exception as error:
            metrics.AUDIT_LOST.labels(values["method"]).inc()
            _log.error("audit_record_lost", outcome=values["outcome"], exc_info=error)

"""Whose copies of services a request asks for is asked of every service on its way."""

from __future__ import annotations

import contextvars

from mesh import catalog
from mesh.runtime import calls, channel
from mesh.runtime.calls import Call


def _told(call: Call) -> dict[str, str]:
    def within() -> dict[str, str]:
        calls.enter(call)
        return dict(channel._metadata())

    return contextvars.copy_context().run(within)


def test_the_developers_name_travels_on_with_outgoing_calls() -> None:
    told = _told(Call("/a.B/C", "edge", developer="anna", request_id="r1"))
    assert told[catalog.DEVELOPER_HEADER] == "anna"
    assert catalog.DEVELOPER_HEADER not in _told(Call("/a.B/C", "edge", request_id="r1"))

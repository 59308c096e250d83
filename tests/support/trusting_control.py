"""The control plane with a judge that takes everything: what is bad, the proxies find out."""

from __future__ import annotations

import os

import uvloop

from mesh.control import wire
from mesh.control.app import run, settings_of

if __name__ == "__main__":
    wire.trust_own_messages()
    uvloop.run(run(settings_of(os.environ), lambda _: None))

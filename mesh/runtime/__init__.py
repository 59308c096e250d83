"""What every service process stands on. A service imports from here, and declares."""

from __future__ import annotations

from mesh.runtime.calls import Call, User
from mesh.runtime.handler import Handler
from mesh.runtime.server import Servicer
from mesh.runtime.service import Host, Job, Parts, Service, run

__all__ = ["Call", "Handler", "Host", "Job", "Parts", "Service", "Servicer", "User", "run"]

"""What the process is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LimiterSettings:
    """From `PALESTRA_…`, read once."""

    listen: str
    """Where to serve: `unix:/path` or `host:port`."""
    redis_url: str = field(repr=False)
    """URL of the limiter's own user."""
    mesh_proof_file: Path
    """The edge's secret: keys are hashed with it, so that all that count together agree."""
    worker: int = 0
    metrics: str = ""
    """Where to serve metrics; empty for nowhere."""
    log_level: str = "INFO"
    limiter_patience_ms: int = 30
    """For one trip to Redis; less than the edge waits for an answer."""
    drain_s: float = 1.0
    """Between NOT_SERVING and refusing new calls."""
    grace_s: float = 1.0
    """For calls under way when serving ends."""

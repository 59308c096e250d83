"""What the process is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway import origins
from gateway.origins import Origins
from mesh import policy


@dataclass(frozen=True, slots=True)
class WebSettings:
    """From `PALESTRA_…`, read once."""

    listen: str
    """Where to serve: `unix:/path`."""
    mesh: str
    """Where calls to services go, as the edge."""
    mesh_proof_file: Path
    """Holds what the edge proves itself with."""
    worker: int = 0
    metrics: str = ""
    """Where to serve metrics; empty for nowhere."""
    contract: Path = policy.DESCRIPTOR_SET
    """The compiled contract."""
    log_level: str = "INFO"
    drain_s: float = 1.0
    """Between saying that it ends and taking no more connections."""
    grace_s: float = 5.0
    """For what is under way when serving ends."""
    web_origins: str = "*"
    """Whose pages may open WebSockets; see `gateway.origins`."""
    web_most_sessions: int = 5_000
    """WebSockets of this process at once."""
    blobs_url: str = ""
    """Where blobs lie; none are served where it is empty."""
    blobs_keys_file: Path | None = None
    """Holds the keys that sign links."""
    blobs_staging: Path | None = None
    """Where uploads wait until they are whole; all processes of this kind share it."""
    blobs_scan: str = ""
    """Who is asked about each upload; see `gateway.web.blobs.scanning`."""
    blobs_pass_unscanned: bool = False
    """Whether files pass while the scanner does not answer."""
    blobs_most_uploads: int = 128
    """Uploads of this process at once."""

    @property
    def origins(self) -> Origins | None:
        """The origins allowed; None for all.

        Raises:
            OriginError: the setting cannot be read.
        """
        allowed = origins.parse(self.web_origins)
        return None if allowed.any else allowed

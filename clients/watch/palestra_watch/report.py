"""What became of a session, in numbers.

Owns the arithmetic of the end report. A sample is acknowledged, or kept for the
next time, or lost; there is no fourth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """The end of one session's sending."""

    label: str
    session: str
    activity: str
    """`users/{user}/activities/{activity}`; empty where the server never said."""
    finished: bool
    samples: int
    """In the source."""
    sent_batches: int
    """By this process, the repeated ones included."""
    repeated_batches: int
    acknowledged_samples: int
    acknowledged_batches: int
    kept_samples: int
    """Not yet acknowledged: in the spool, or still in the source. Run again to send them."""
    resumed: int
    """How often the server took the session up again where it had been cut."""
    rejected: int
    clock_offset_ms: int | None
    elapsed_s: float
    error: str
    """Why it is not finished; empty where it is."""
    remarks: tuple[str, ...]

    @property
    def lost(self) -> int:
        """Samples that are neither acknowledged nor kept."""
        return self.samples - self.acknowledged_samples - self.kept_samples

    @property
    def whole(self) -> bool:
        """Whether the server has everything and says that it is finished."""
        return self.finished and self.acknowledged_samples == self.samples

    def as_json(self) -> dict[str, object]:
        """Every number by its name."""
        return asdict(self) | {"lost": self.lost, "whole": self.whole}

    def in_words(self) -> list[str]:
        """Lines for people."""
        state = "finished" if self.finished else f"NOT finished: {self.error}"
        lines = [
            f"{self.label}: {state}",
            (
                f"  sent {self.sent_batches} batches ({self.repeated_batches} again), "
                f"acknowledged {self.acknowledged_samples} of {self.samples} samples, "
                f"resumed {self.resumed}, lost: {self.lost}"
            ),
        ]
        if self.kept_samples:
            lines.append(f"  {self.kept_samples} samples are kept; run the same command again")
        if self.activity:
            lines.append(f"  {self.activity}")
        return lines + [f"  note: {each}" for each in self.remarks]

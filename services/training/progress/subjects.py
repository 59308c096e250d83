"""What is kept of a person's days."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from palestra.training.v1 import sport_pb2
from services.training.tables import PROGRESS_DAYS

SUBJECTS = (Rows(PROGRESS_DAYS, shown={"sport": sport_pb2.Sport.Name}),)

"""What training keeps of people: each capability's own, in the order in which it is erased."""

from __future__ import annotations

from mesh.runtime.subjects import Subject
from services.training.activities.subjects import SUBJECTS as ACTIVITIES
from services.training.progress.subjects import SUBJECTS as PROGRESS
from services.training.samples.subjects import SUBJECTS as SAMPLES
from services.training.sharing.subjects import SUBJECTS as SHARING
from services.training.tables import METADATA

TABLES = METADATA
SUBJECTS: tuple[Subject, ...] = (*SAMPLES, *ACTIVITIES, *SHARING, *PROGRESS)

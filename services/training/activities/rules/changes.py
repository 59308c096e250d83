"""What an athlete may change of an activity.

Owns the update mask, the etag check and deletion. Decides what changes and whether
others must hear of it. Never touches samples or summaries: those are the device's and
ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.errors import (
    ActivityNotFound,
    EtagMismatch,
    FieldInvalid,
)
from services.training.activities.rules.sports import Sport

EDITABLE: Final = ("title", "notes", "sport", "audience")
MAX_TITLE_LENGTH: Final = 120
MAX_NOTES_LENGTH: Final = 4_000


@dataclass(frozen=True, slots=True)
class Editable:
    """What an athlete may set."""

    title: str = ""
    notes: str = ""
    sport: Sport = Sport.UNSPECIFIED
    audience: Audience = Audience.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class ActivityVersion:
    """An activity as it is stored, as far as changing it goes."""

    etag: str
    editable: Editable
    finished: bool
    """Whether it counts: a live activity has no totals yet."""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """What an update does."""

    editable: Editable
    changed: bool
    """False where all is as it was: nothing is written, the etag stays."""
    corrects: bool
    """Whether a finished activity counts for something else, or is for others: told."""


def decide_update(
    current: ActivityVersion | None, wanted: Editable, mask: Sequence[str], etag: str
) -> Update:
    """`mask`: the paths to set; empty for those of `wanted` that are set; `*` for all.

    Raises ActivityNotFound, EtagMismatch, FieldInvalid. A repeat of an update whose
    answer was lost changes nothing, and is told so before its etag is looked at.
    """
    current = _existing(current)
    paths = _paths(wanted, mask)
    if "sport" in paths and wanted.sport is Sport.UNSPECIFIED:
        raise FieldInvalid("a sport cannot be taken away, only changed", field="activity.sport")
    if "audience" in paths and wanted.audience is Audience.UNSPECIFIED:
        raise FieldInvalid("it is to be said for whom it is", field="activity.audience")
    _check_lengths(wanted, paths)
    editable = replace(current.editable, **{path: getattr(wanted, path) for path in paths})
    if editable == current.editable:
        return Update(editable, changed=False, corrects=False)
    _check_etag(current, etag)
    told = (editable.sport, editable.audience)
    corrects = current.finished and told != (current.editable.sport, current.editable.audience)
    return Update(editable, changed=True, corrects=corrects)


def _paths(wanted: Editable, mask: Sequence[str]) -> tuple[str, ...]:
    if not mask:
        return tuple(path for path in EDITABLE if getattr(wanted, path))
    if list(mask) == ["*"]:
        # Who leaves out for whom it is may not know the field: it stays.
        return EDITABLE if wanted.audience else EDITABLE[:-1]
    for path in mask:
        if path not in EDITABLE:
            allowed = ", ".join(EDITABLE)
            raise FieldInvalid(f"{path!r} cannot be set, only {allowed}", field="update_mask")
    return tuple(path for path in EDITABLE if path in mask)


def _check_lengths(wanted: Editable, paths: Sequence[str]) -> None:
    for path, bound in (("title", MAX_TITLE_LENGTH), ("notes", MAX_NOTES_LENGTH)):
        if path in paths and len(getattr(wanted, path)) > bound:
            raise FieldInvalid(f"more than {bound} characters", field=f"activity.{path}")


class DeleteAction(Enum):
    """What a deletion does."""

    DELETE = "delete"
    DELETE_COUNTED = "delete counted"
    """It was finished: others must hear of it (ActivityDeleted)."""
    NOTHING = "nothing"
    """It was deleted before: the answer is the same."""


def decide_delete(current: ActivityVersion | None, etag: str) -> DeleteAction:
    """Raises ActivityNotFound where it never was, EtagMismatch where it changed."""
    if current is None:
        raise ActivityNotFound("there is no such activity")
    if current.deleted:
        return DeleteAction.NOTHING
    _check_etag(current, etag)
    return DeleteAction.DELETE_COUNTED if current.finished else DeleteAction.DELETE


def _existing(current: ActivityVersion | None) -> ActivityVersion:
    if current is None or current.deleted:
        raise ActivityNotFound("there is no such activity")
    return current


def _check_etag(current: ActivityVersion, etag: str) -> None:
    if etag and etag != current.etag:
        raise EtagMismatch(f"the etag is {current.etag!r} now, not {etag!r}", field="etag")

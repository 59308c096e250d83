"""What is kept of a person's profile."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from palestra.identity.v1 import profile_pb2
from palestra.training.v1 import sport_pb2
from services.identity.profiles.rules.profile import VISIBLE
from services.identity.tables.profiles import PROFILES
from services.identity.visibility.rules import Audience

SUBJECTS = (
    Rows(
        PROFILES,
        without={"avatar_stale": "whether files of an earlier picture are to be looked for"},
        shown={
            "sports": lambda sports: [sport_pb2.Sport.Name(each) for each in sports],
            "sport_levels": lambda levels: [profile_pb2.SportLevel.Name(each) for each in levels],
            "sex": profile_pb2.Sex.Name,
            **{f"{each}_audience": lambda chosen: Audience(chosen).name for each in VISIBLE},
        },
    ),
)

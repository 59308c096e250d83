"""The rules know no generated code; what they mirror of the contract is compared here."""

from __future__ import annotations

import pytest

from palestra.identity.v1 import audience_pb2
from palestra.mesh.v1 import errors_pb2 as mesh_errors_pb2
from palestra.training.v1 import (
    activity_pb2,
    errors_pb2,
    progress_service_pb2,
    sport_pb2,
    telemetry_pb2,
)
from services.training.activities.rules import errors as activity_errors
from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.sports import Sport
from services.training.activities.rules.summary import DistanceSource
from services.training.progress.rules import Period, ProgressRangeInvalid
from services.training.samples.rules import errors as sample_errors
from services.training.samples.rules.channels import Encoding


def test_enums_have_the_contracts_names_and_numbers() -> None:
    assert {f"SPORT_{one.name}": int(one) for one in Sport} == dict(sport_pb2.Sport.items())
    assert {f"DISTANCE_SOURCE_{one.name}": int(one) for one in DistanceSource} == dict(
        activity_pb2.DistanceSource.items()
    )
    assert {f"ACTIVITY_AUDIENCE_{one.name}": int(one) for one in Audience} == dict(
        activity_pb2.ActivityAudience.items()
    )
    periods = {f"PERIOD_{one.name}": int(one) for one in Period}
    assert {"PERIOD_UNSPECIFIED": 0, **periods} == dict(progress_service_pb2.Period.items())
    encodings = {f"ENCODING_{one.name}": int(one) for one in Encoding}
    assert {"ENCODING_UNSPECIFIED": 0, **encodings} == dict(telemetry_pb2.Encoding.items())


def test_an_audience_is_called_and_numbered_as_identitys() -> None:
    ours = {one.name: int(one) for one in Audience}
    told = {name.removeprefix("AUDIENCE_"): n for name, n in audience_pb2.Audience.items()}
    # Nobody tells of groups yet.
    assert ours == {name: number for name, number in told.items() if name != "GROUPS"}


REFUSALS = [
    *sample_errors.SessionRefusal.__subclasses__(),
    *activity_errors.ActivityRefusal.__subclasses__(),
    ProgressRangeInvalid,
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.__name__)
def test_every_reason_is_one_of_the_contracts(refusal: type[Exception]) -> None:
    reason = f"ERROR_REASON_{getattr(refusal, 'reason')}"  # noqa: B009
    known = {*errors_pb2.ErrorReason.keys(), *mesh_errors_pb2.ErrorReason.keys()}
    assert reason in known


def test_stored_damage_is_our_fault_and_has_no_reason() -> None:
    assert not hasattr(sample_errors.StoredBytesDamaged, "reason")

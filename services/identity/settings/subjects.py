"""What is kept of how a person wants things to be."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from palestra.identity.v1 import settings_pb2
from services.identity.tables.settings import SETTINGS
from services.identity.visibility.rules import Audience

SUBJECTS = (
    Rows(
        SETTINGS,
        without={
            "told": "how often other services were told to ask anew",
            "zone_secret": "hides the middles of zones",
        },
        shown={
            "unit_system": settings_pb2.UnitSystem.Name,
            "distance_unit": settings_pb2.DistanceUnit.Name,
            "height_unit": settings_pb2.HeightUnit.Name,
            "weight_unit": settings_pb2.WeightUnit.Name,
            "temperature_unit": settings_pb2.TemperatureUnit.Name,
            "theme": settings_pb2.Theme.Name,
            "default_activity_audience": lambda chosen: Audience(chosen).name,
        },
    ),
)

"""How signing keys are scheduled, as the process is told."""

from __future__ import annotations

from datetime import timedelta

from mesh.runtime.settings import SettingsError
from mesh.runtime.tokens import LONGEST_LIFE_S
from services.identity.keys.rules import LEAD, Schedule


def schedule_of(
    signs_for_s: float, ahead_s: float, after_s: float, access_token_s: float
) -> Schedule:
    """The schedule, of settings in seconds.

    Raises:
        SettingsError: with these, tokens would be refused for their keys.
    """
    lead_s = LEAD.total_seconds()
    if ahead_s < lead_s:
        raise SettingsError(f"PALESTRA_IDENTITY_SIGNING_KEY_AHEAD_S is less than {lead_s:g}")
    if signs_for_s < ahead_s:
        raise SettingsError("PALESTRA_IDENTITY_SIGNING_KEY_S is less than …_SIGNING_KEY_AHEAD_S")
    if after_s < min(access_token_s, LONGEST_LIFE_S):
        raise SettingsError("PALESTRA_IDENTITY_SIGNING_KEY_AFTER_S: tokens live longer")
    return Schedule(*(timedelta(seconds=each) for each in (signs_for_s, ahead_s, after_s)))

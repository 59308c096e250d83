"""FIT's sports -> ours.

A table; whatever is not in it is OTHER.
"""

from __future__ import annotations

from palestra.training.v1 import sport_pb2

_SPORTS: dict[int, sport_pb2.Sport.ValueType] = {
    1: sport_pb2.SPORT_RUNNING,
    2: sport_pb2.SPORT_CYCLING,
    3: sport_pb2.SPORT_TRANSITION,
    4: sport_pb2.SPORT_FITNESS_EQUIPMENT,
    5: sport_pb2.SPORT_SWIMMING,
    6: sport_pb2.SPORT_TEAM_GAME,
    7: sport_pb2.SPORT_TEAM_GAME,
    8: sport_pb2.SPORT_RACKET_GAME,
    9: sport_pb2.SPORT_TEAM_GAME,
    11: sport_pb2.SPORT_WALKING,
    12: sport_pb2.SPORT_CROSS_COUNTRY_SKIING,
    13: sport_pb2.SPORT_ALPINE_SKIING,
    14: sport_pb2.SPORT_SNOWBOARDING,
    15: sport_pb2.SPORT_ROWING,
    16: sport_pb2.SPORT_CLIMBING,
    17: sport_pb2.SPORT_HIKING,
    19: sport_pb2.SPORT_PADDLING,
    21: sport_pb2.SPORT_CYCLING,
    30: sport_pb2.SPORT_SKATING,
    31: sport_pb2.SPORT_CLIMBING,
    33: sport_pb2.SPORT_SKATING,
    35: sport_pb2.SPORT_HIKING,
    37: sport_pb2.SPORT_PADDLING,
    41: sport_pb2.SPORT_PADDLING,
    42: sport_pb2.SPORT_PADDLING,
    48: sport_pb2.SPORT_CLIMBING,
    49: sport_pb2.SPORT_TEAM_GAME,
    64: sport_pb2.SPORT_RACKET_GAME,
    70: sport_pb2.SPORT_TEAM_GAME,
    71: sport_pb2.SPORT_TEAM_GAME,
    72: sport_pb2.SPORT_TEAM_GAME,
    73: sport_pb2.SPORT_TEAM_GAME,
    74: sport_pb2.SPORT_TEAM_GAME,
    75: sport_pb2.SPORT_TEAM_GAME,
    88: sport_pb2.SPORT_PADDLING,
}
_TRAINING = 10
_STRENGTH = 20
_YOGA = 43


def sport_of(sport: object, sub_sport: object) -> sport_pb2.Sport.ValueType:
    """Our sport for FIT's numbers; OTHER where FIT's is not known, or is not told."""
    if sport in (_TRAINING, 4) and sub_sport == _STRENGTH:
        return sport_pb2.SPORT_STRENGTH
    if sub_sport == _YOGA:
        return sport_pb2.SPORT_YOGA
    if not isinstance(sport, int):
        return sport_pb2.SPORT_OTHER
    return _SPORTS.get(sport, sport_pb2.SPORT_OTHER)

"""The rules of roles and blocks, at the times where they change."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mesh import policy
from mesh.runtime.ids import user_id
from services.identity.blocks import rules as blocks
from services.identity.roles import rules
from services.identity.roles.rules import Held, Wanted
from services.identity.sessions.rules import FIRST_PARTY, Opening, Session, open_session

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
GRANTER, PERSON, GRANT_ID = user_id(0), user_id(0), uuid.uuid4()
GRANTABLE = {each.name for each in policy.roles() if each.is_granted}


def grant(
    role: str = "support", ends: datetime = NOW + DAY, by: uuid.UUID = GRANTER
) -> rules.Grant:
    return rules.granted(by, PERSON, GRANT_ID, Wanted(role, "helps", ends), GRANTABLE, NOW)


def test_the_contract_names_the_roles_of_the_product() -> None:
    assert [each.name for each in policy.roles()] == [
        *("athlete", "coach", "moderator", "marketer"),
        *("support", "analyst", "administrator", "service"),
    ]
    assert {each.name for each in policy.roles()} - GRANTABLE == {"athlete", "service"}
    assert {each.name for each in policy.roles() if not each.is_asked_for} == {"athlete"}
    assert all(each.en and each.ru for each in policy.roles())


@pytest.mark.parametrize("role", ["athlete", "service", "king", "", "Support"])
def test_what_nobody_grants_is_unknown(role: str) -> None:
    with pytest.raises(rules.RoleUnknown):
        grant(role)


@pytest.mark.parametrize("ends", [NOW, NOW - DAY, NOW + rules.LONGEST + SECOND])
def test_a_grant_ends_later_and_within_its_bound(ends: datetime) -> None:
    with pytest.raises(rules.RoleExpiryInvalid):
        grant(ends=ends)


def test_the_longest_grant_is_granted() -> None:
    assert grant(ends=NOW + rules.LONGEST).expires_at == NOW + rules.LONGEST


def test_nobody_grants_himself_anything() -> None:
    with pytest.raises(rules.RoleForOneself):
        grant(by=PERSON)


def test_a_repeat_with_another_body_is_refused() -> None:
    first = grant()
    assert rules.repeated(replace(grant(), granted_at=NOW + DAY), first) is first
    for other in (grant("coach"), grant(ends=NOW + 2 * DAY)):
        with pytest.raises(rules.RequestIdReused):
            rules.repeated(other, first)


def test_a_grant_is_over_at_its_time_though_nobody_wrote_that_down() -> None:
    lives = grant()
    assert lives.as_of(NOW + DAY - SECOND) is lives
    over = lives.as_of(NOW + DAY)
    assert (over.ended_at, over.ended_how) == (NOW + DAY, rules.Ending.EXPIRED)


def test_only_who_has_the_role_now_may_change_something() -> None:
    rules.check_authority(GRANTER, {"administrator"}, {"administrator"})
    rules.check_authority(rules.OPERATOR, (), {"administrator"})
    for own in ((), {"support"}):
        with pytest.raises(rules.RoleLost):
            rules.check_authority(GRANTER, own, {"administrator"})


def session(
    amr: frozenset[str] = frozenset({"pwd", "mfa"}),
    client: str = FIRST_PARTY,
    scopes: frozenset[str] | None = None,
    *,
    has_factor: bool = True,
) -> Session:
    opened, _ = open_session(
        Opening(PERSON, amr, client, scopes), GRANT_ID, bytes(32), bytes(32), NOW
    )
    held = (Held("coach", NOW + DAY), Held("support", NOW + 60 * SECOND))
    return replace(opened, held=held, has_factor=has_factor)


def test_roles_are_at_work_until_each_ones_time() -> None:
    assert [each.role for each in session().roles(NOW)] == ["coach", "support"]
    assert [each.role for each in session().roles(NOW + 59 * SECOND)] == ["coach", "support"]
    assert [each.role for each in session().roles(NOW + 59.1 * SECOND)] == ["coach"]
    assert session().roles(NOW + DAY) == ()


@pytest.mark.parametrize(
    "without",
    [
        session(frozenset({"pwd"})),
        session(frozenset({"fed"})),
        session(frozenset()),
        session(has_factor=False),
    ],
)
def test_no_role_is_at_work_without_a_second_factor(without: Session) -> None:
    assert without.roles(NOW) == ()
    assert without.wants_factor(NOW)
    assert not without.wants_factor(NOW + DAY)


@pytest.mark.parametrize(
    "others", [session(client=str(uuid.uuid4())), session(scopes=frozenset({"profile.read"}))]
)
def test_no_role_goes_to_an_app_of_others(others: Session) -> None:
    assert others.roles(NOW) == ()


def test_who_has_no_role_is_asked_for_nothing() -> None:
    nobody = replace(session(frozenset({"pwd"}), has_factor=False), held=())
    assert not nobody.wants_factor(NOW)
    assert not session().wants_factor(NOW)


def block(ends: datetime | None = None, by: uuid.UUID = GRANTER) -> blocks.Block:
    return blocks.blocked(by, PERSON, GRANT_ID, "shouts", ends, NOW)


def test_a_block_holds_until_it_is_lifted_or_over() -> None:
    assert block().holds(NOW + 10_000 * DAY)
    assert block(NOW + DAY).holds(NOW + DAY - SECOND)
    assert not block(NOW + DAY).holds(NOW + DAY)
    assert not replace(block(), lifted_at=NOW).holds(NOW)


@pytest.mark.parametrize("ends", [NOW, NOW - DAY, NOW + blocks.LONGEST + SECOND])
def test_a_block_ends_later_and_within_its_bound(ends: datetime) -> None:
    with pytest.raises(blocks.BlockExpiryInvalid):
        block(ends)


def test_nobody_blocks_himself() -> None:
    with pytest.raises(blocks.BlockOfOneself):
        block(by=PERSON)


def test_an_administrator_is_an_administrators_to_block() -> None:
    blocks.check_rank({"administrator"}, {"administrator", "support"})
    blocks.check_rank({"moderator"}, {"support"})
    with pytest.raises(blocks.StaffProtected):
        blocks.check_rank({"moderator", "support"}, {"administrator"})

"""Letters of a whole stack, as its people get them; and a lock, without trying for minutes."""

from __future__ import annotations

from typing import Any

from mesh.local import mail
from tests.support.local_stack import until
from tests.support.whole_stack import WholeStack

ARRIVES_S = 15.0
_LOCK = """
    WITH address AS (
        SELECT user_id, address_id FROM identity.addresses
        WHERE user_id = %(user)s AND is_primary
    ), code AS (
        INSERT INTO identity.codes (user_id, purpose, address_id, asked_at, asks, attempts_left)
        SELECT user_id, 'unlock_account', address_id, now(), 1, 0 FROM address
    )
    INSERT INTO identity.letters
        (user_id, letter_id, kind, address_id, details, created_at, due_at, attempts)
    SELECT user_id, uuidv7(), 'unlock_account', address_id, '{}', now(), now(), 0 FROM address
"""


def letters(stack: WholeStack, address: str) -> list[dict[str, Any]]:
    """The letters to an address so far, the oldest first."""
    return list(mail.letters(stack.places, address, follow=False))


def code(stack: WholeStack, address: str, kind: str) -> str:
    """The code of the newest letter of a kind; waits for it."""
    found: list[str] = []

    def arrived() -> bool:
        found.extend(each["code"] for each in letters(stack, address) if each["kind"] == kind)
        return bool(found)

    until(arrived, ARRIVES_S, f"a letter with a code, {kind}")
    return found[-1]


def lock(stack: WholeStack, user: str) -> None:
    """What the fifteenth wrong password in a row leads to: it would take a quarter of an hour."""
    with stack.database() as database:
        database.execute(_LOCK, {"user": user.removeprefix("users/")})
        database.commit()

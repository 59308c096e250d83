"""`python -m services.identity.keys`: the keys, listed, turned and withdrawn by an operator.

For whoever may run a process with identity's settings, beside one of its workers; no token
is asked for, so that it works when nobody can sign in, and does nothing for whoever holds
a key that leaked: by it he could sign himself an administrator. Prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
from datetime import UTC, datetime
from typing import Any

from mesh.runtime import logs, settings
from mesh.runtime.audit import Auditor
from mesh.runtime.clock import now
from mesh.runtime.sealing import Sealer
from mesh.runtime.settings import Settings, SettingsError
from mesh.runtime.sql import Database
from services.identity.keys import keeper, rules
from services.identity.keys.keeper import Keeper
from services.identity.keys.rules import KeysTooMany, KeyUnknown, SigningKey
from services.identity.service import IdentitySettings

_LONGEST_WHY = 500
_WORDS = {
    KeyUnknown: "there is no such key; `list` shows those that there are",
    KeysTooMany: f"{rules.MOST_PUBLISHED} keys are published: wait until tokens of the first end",
}


def main() -> None:
    """Does what the command line says.

    Raises:
        SystemExit: it cannot be done; says why.
    """
    asked = _parser().parse_args()
    try:
        told = settings.read(Settings)
        own = settings.read_own(IdentitySettings, "identity")
        logs.configure(told.service, told.worker, "ERROR")
        keys = asyncio.run(_run(asked, told, own))
    except (KeyUnknown, KeysTooMany) as error:
        raise SystemExit(f"keys: {_WORDS[type(error)]}") from None
    except SettingsError as error:
        raise SystemExit(f"keys: {error}") from None
    print(json.dumps(shown(keys, now())))  # noqa: T201 - what it is for


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.identity.keys", description=__doc__)
    parser.add_argument("--by", default=None, help="Who asks; the system's user.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="Show the keys.")
    turn = commands.add_parser("turn", help="Let the next key sign.")
    turn.add_argument("--now", action="store_true", help="In seconds, known to strangers or not.")
    withdraw = commands.add_parser("withdraw", help="Believe nothing that a key signed.")
    withdraw.add_argument("key", nargs="*", help="Its id.")
    withdraw.add_argument("--all", action="store_true", help="Every key there is.")
    withdraw.add_argument("--why", required=True, help="For the record.")
    return parser


async def _run(asked: argparse.Namespace, told: Settings, own: Any) -> list[SigningKey]:
    if told.seal_keys_file is None:
        raise SettingsError("PALESTRA_SEAL_KEYS_FILE is not set: the keys are sealed")
    sealer = Sealer.read(told.seal_keys_file)
    database = Database(told.database_url, pool_size=1, application="keys")
    await database.open()
    try:
        kept = Keeper(keeper.store_of(database, sealer), sealer, now, own.signing_schedule())
        return await _do(asked, kept, Auditor(database))
    finally:
        await database.close()


async def _do(asked: argparse.Namespace, kept: Keeper, auditor: Auditor) -> list[SigningKey]:
    by = asked.by or getpass.getuser()
    if asked.command == "list":
        return await kept.store.keys()
    if asked.command == "turn":
        found = await kept.turn(at_once=asked.now)
        await auditor.note("keys turn", by, "", "OK")
        return found
    if bool(asked.key) == asked.all:
        raise SystemExit("keys: name the keys to be withdrawn, or say --all")
    found = await kept.withdraw(asked.key, by[:_LONGEST_WHY], asked.why[:_LONGEST_WHY])
    await auditor.note("keys withdraw", by, " ".join(asked.key) or "all", "OK")
    return found


def shown(keys: list[SigningKey], at: datetime) -> list[dict[str, Any]]:
    """The keys as they are printed, the one that signs first; never what is secret."""
    signing = rules.signer(keys, at)
    order = [*rules.living(keys)[::-1], *(key for key in keys if key.withdrawn_at)]
    return [
        {
            "keyId": key.key_id,
            "state": _state(key, signing),
            "publishTime": _time(key.published_at),
            "signTime": _time(key.signs_at),
            "alwaysSealed": key.always_sealed,
            **(
                {
                    "withdrawTime": _time(key.withdrawn_at),
                    "withdrawnBy": key.withdrawn_by,
                    "why": key.withdrawn_why,
                }
                if key.withdrawn_at
                else {}
            ),
        }
        for key in order
    ]


def _state(key: SigningKey, signing: SigningKey | None) -> str:
    if key.withdrawn_at is not None:
        return "WITHDRAWN"
    if signing is None or key.signs_at > signing.signs_at:
        return "NEXT"
    return "SIGNING" if key.key_id == signing.key_id else "RETIRED"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

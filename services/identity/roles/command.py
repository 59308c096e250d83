"""`python -m services.identity.roles`: what only whoever has the machine in his hands can do.

Grants the first administrator his role, and takes roles back where nobody is left who can.
Needs the database alone (`PALESTRA_DATABASE_URL`), and leaves an audit record as a call does.
Makes no account and knows no password: the person has signed up as everybody does, and his
address is proved.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import uuid
from dataclasses import dataclass
from datetime import timedelta

from mesh.runtime import settings
from mesh.runtime.audit import Auditor
from mesh.runtime.clock import now
from mesh.runtime.contract import roles
from mesh.runtime.errors import DomainError, MeshError
from mesh.runtime.ids import uuid7
from mesh.runtime.sql import Database
from mesh.runtime.tokens import LONGEST_LIFE_S
from services.identity.addresses import contacts
from services.identity.roles.flow import BEGINNING, RoleFlow
from services.identity.roles.rules import ADMINISTRATOR, OPERATOR, Grant, Wanted
from services.identity.roles.store import RoleStore

LONGEST_REASON = 500
USUAL_DAYS = 90
MOST_LISTED = 1000


class Refused(Exception):
    """What cannot be done; a sentence."""


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Where the people are."""

    database_url: str
    """libpq URL of identity's own role."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The commands."""

    flow: RoleFlow
    auditor: Auditor

    async def grant(self, person: str, names: list[str], days: float, reason: str) -> list[Grant]:
        """Grants roles to somebody who is named by an address or as `users/{user}`."""
        user_id = await self._person(person)
        ends = self.flow.clock() + timedelta(days=days)
        done = []
        for name in names:
            wanted = Wanted(name, reason, ends)
            done.append(await self.flow.grant(OPERATOR, user_id, uuid7(), wanted))
            await self._record("grant", done[-1])
        return done

    async def revoke(self, name: str, reason: str) -> Grant:
        """Takes a grant back; `name` is as `list` shows it."""
        try:
            users, user, grants, grant = name.split("/")
            ids = uuid.UUID(user), uuid.UUID(grant)
        except ValueError:
            raise Refused(f"{name!r} is not users/…/roleGrants/…") from None
        if (users, grants) != ("users", "roleGrants"):
            raise Refused(f"{name!r} is not users/…/roleGrants/…")
        done = await self.flow.revoke(OPERATOR, *ids, reason)
        await self._record("revoke", done)
        return done

    async def list(self) -> list[Grant]:
        """The grants that live, the newest first."""
        found, _ = await self.flow.grants(None, "", BEGINNING, MOST_LISTED, ended=False)
        return found

    async def _person(self, person: str) -> uuid.UUID:
        if person.startswith("users/"):
            try:
                return uuid.UUID(person.removeprefix("users/"))
            except ValueError:
                raise Refused(f"{person!r} is nobody's name") from None
        is_phone = person.startswith("+")
        contact = contacts.sought("" if is_phone else person, person if is_phone else "")
        found = await self.flow.store.person(contact.key)
        if found is None:
            raise Refused("nobody has this address; sign up first")
        user_id, is_proved = found
        if not is_proved:
            # Anybody can claim an address that is not his.
            raise Refused("nobody has proved yet that this address is his: confirm it first")
        return user_id

    async def _record(self, what: str, grant: Grant) -> None:
        name = f"users/{grant.user_id}/roleGrants/{grant.grant_id}"
        await self.auditor.note(f"roles {what}", getpass.getuser(), name, "OK")


def line(grant: Grant) -> str:
    """A grant for people and programs: parted by tabs, the reason last."""
    told = [
        f"users/{grant.user_id}/roleGrants/{grant.grant_id}",
        grant.role,
        f"until {grant.expires_at:%Y-%m-%d %H:%M} UTC",
        grant.ended_how.name.lower(),
        grant.reason,
    ]
    return "\t".join(each.replace("\t", " ").replace("\n", " ") for each in told)


async def run(told: argparse.Namespace, url: str) -> list[Grant]:
    """Does what a command line asks for."""
    database = Database(url, pool_size=1, application="identity admin")
    await database.open()
    try:
        flow = RoleFlow(RoleStore(database), roles(), LONGEST_LIFE_S, now)
        admin = Admin(flow, Auditor(database))
        if told.command == "grant":
            names = told.role or [ADMINISTRATOR]
            return await admin.grant(told.person, names, told.days, told.reason)
        if told.command == "revoke":
            return [await admin.revoke(told.grant, told.reason)]
        return await admin.list()
    finally:
        await database.close()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m services.identity.roles", description=__doc__)
    commands = made.add_subparsers(dest="command", required=True)
    grant = commands.add_parser("grant", help="grant roles, by default the administrator's")
    grant.add_argument("person", help="an e-mail address, a phone number, or users/…")
    grant.add_argument("--role", action="append", help="may be repeated")
    grant.add_argument("--days", type=float, default=USUAL_DAYS)
    revoke = commands.add_parser("revoke", help="take a grant back")
    revoke.add_argument("grant", help="users/…/roleGrants/…, as list shows it")
    for each in (grant, revoke):
        each.add_argument("--reason", required=True, type=_reason)
    commands.add_parser("list", help="show who has which role")
    return made


def _reason(text: str) -> str:
    if not 1 <= len(text.strip()) <= LONGEST_REASON:
        raise argparse.ArgumentTypeError(f"1 to {LONGEST_REASON} characters")
    return text.strip()


def main() -> None:
    """Runs one command; its refusals are sentences, with exit status 1."""
    told = parser().parse_args()
    try:
        url = settings.read(AdminSettings).database_url
        for grant in asyncio.run(run(told, url)):
            sys.stdout.write(line(grant) + "\n")
    except (Refused, MeshError, settings.SettingsError) as error:
        sys.exit(f"{error}.")
    except Exception as error:
        if not isinstance(error, DomainError):
            raise
        sys.exit(f"{error.reason}: {str(error) or error.__doc__}")

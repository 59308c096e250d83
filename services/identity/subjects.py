"""What identity keeps of people: each capability's own, in the order in which it is erased."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mesh.runtime.subjects import Files, Subject
from services.identity.addresses.subjects import SUBJECTS as ADDRESSES
from services.identity.auth.subjects import SUBJECTS as ACCOUNTS
from services.identity.blocks.subjects import SUBJECTS as BLOCKS
from services.identity.clients.subjects import SUBJECTS as CLIENTS
from services.identity.codes.subjects import SUBJECTS as CODES
from services.identity.consents.subjects import SUBJECTS as CONSENTS
from services.identity.exports.subjects import SUBJECTS as EXPORTS
from services.identity.factors.subjects import SUBJECTS as FACTORS
from services.identity.goals.subjects import SUBJECTS as GOALS
from services.identity.letters.subjects import SUBJECTS as LETTERS
from services.identity.oauth.subjects import SUBJECTS as OAUTH
from services.identity.personkeys.subjects import SUBJECTS as PERSON_KEYS
from services.identity.profiles.subjects import SUBJECTS as PROFILES
from services.identity.relations.subjects import SUBJECTS as RELATIONS
from services.identity.revocations.subjects import SUBJECTS as STANDINGS
from services.identity.roles.subjects import SUBJECTS as ROLES
from services.identity.sessions.subjects import SUBJECTS as SESSIONS
from services.identity.settings.subjects import SUBJECTS as SETTINGS
from services.identity.sso.subjects import SUBJECTS as SSO
from services.identity.tables.metadata import METADATA
from services.identity.zones.subjects import SUBJECTS as PRIVACY_ZONES

# The account goes last: the others' rows refer to it.
SUBJECTS: tuple[Subject, ...] = (
    *OAUTH,
    *SSO,
    *CLIENTS,
    *SESSIONS,
    *ROLES,
    *STANDINGS,
    *BLOCKS,
    *FACTORS,
    *RELATIONS,
    *CONSENTS,
    *EXPORTS,
    *PERSON_KEYS,
    *GOALS,
    *PRIVACY_ZONES,
    *SETTINGS,
    *PROFILES,
    *LETTERS,
    *CODES,
    *ADDRESSES,
    *ACCOUNTS,
)
TABLES = METADATA
FILES = Files(frozenset({"export", "export-part"}))
"""Archives hold what is given out anyway."""
IMPERSONAL: Mapping[str, str] = MappingProxyType(
    {
        "used_tickets": "numbers of tickets, which say nothing of whose they were",
        "signing_keys": "identity's own keys, of nobody",
        "relation_beats": "how many beats went through the bus",
        "client_assertions": "numbers of JWTs that programs showed",
        "sso_attempts": "sign-ins with the shop that were begun, by nobody yet",
        "sso_logouts": "numbers of JWTs that the shop showed, and hashed whom they were about,"
        " for ten minutes",
        "certificate_keys": "identity's own keys, of nobody",
        "erasures": "what proves an erasure, by an id that names nobody any more",
        "erasure_steps": "what proves an erasure, by an id that names nobody any more",
        "revocations": "ids whose tokens are refused: needed most after an erasure, and gone"
        " by themselves when the last token is over",
    },
)
"""Tables that hold nothing of anybody, each with what it holds."""

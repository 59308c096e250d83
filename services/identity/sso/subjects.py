"""What is kept of who somebody is in the shop."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.sso import SSO_LINKS, SSO_SESSIONS

SUBJECTS = (
    Rows(
        SSO_LINKS,
        without={
            "tokens": "they open doors",
            "renewing_until": "which process of ours is at work",
        },
    ),
    Rows(SSO_SESSIONS),
)

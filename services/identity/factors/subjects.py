"""What is kept of a person's second factors."""

from __future__ import annotations

from mesh.runtime.subjects import Rows
from services.identity.tables.factors import PASSKEYS, SECOND_FACTORS

_SECRET = "it opens doors"  # noqa: S105 - a reason, not a secret
SUBJECTS = (
    Rows(
        PASSKEYS,
        without={"public_key": "it is of use to no other site"},
        shown={
            "credential_id": bytes.hex,
        },
    ),
    Rows(
        SECOND_FACTORS,
        without={
            "totp_secret": _SECRET,
            "recovery_hashes": _SECRET,
            "totp_last_step": "when the last code was taken, as a number of its own",
            "reset_by": "another person",
        },
        mentions={"reset_by": None},
    ),
)

"""What a receipt says: enough to prove to anybody who agreed to which text, and nothing more."""

from __future__ import annotations

from typing import Any, Final

from services.identity.consents.rules import Record

KIND: Final = "palestra-consent+jwt"


def claims_of(record: Record) -> dict[str, Any]:
    """The same for each asking: a receipt of a record never changes."""
    by = record.evidence
    return {
        "iss": "palestra",
        "jti": str(record.record_id),
        "iat": int(record.at.timestamp()),
        "sub": f"users/{record.user_id}",
        "purpose": record.purpose.slug,
        "given": record.given,
        "version": record.version,
        "language": record.language,
        "text_sha256": record.sha256.hex(),
        "at": record.at.isoformat(),
        "client": by.client,
        "session": str(by.session_id) if by.session_id else None,
        "device": by.device,
        "network": by.network,
    }

"""Sessions and grants whose proofs and scopes may be those of others are asked anew.

A second proof of a session added what anybody had ever proved, and a second yes to an app
what anybody had ever granted. What is one's own cannot be told from it any more: a second
factor is asked for again, and so is what an app may do.
"""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute("""
        UPDATE sessions SET amr = array_remove(amr, 'mfa')
        WHERE proved_at > created_at AND ended_at IS NULL AND 'mfa' = ANY (amr)
    """)
    op.execute("UPDATE grants SET scopes = '{}' WHERE updated_at > created_at")

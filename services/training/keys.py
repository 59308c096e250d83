"""What a session, and the activity that it becomes, is called."""

from __future__ import annotations

import uuid
from typing import NamedTuple


class SessionKey(NamedTuple):
    """Whose session, and which; the session's id is the activity's."""

    user_id: uuid.UUID
    session_id: uuid.UUID

    @property
    def name(self) -> str:
        """`users/{user}/sessions/{session}`."""
        return f"users/{self.user_id}/sessions/{self.session_id}"

    @property
    def activity(self) -> str:
        """`users/{user}/activities/{activity}`."""
        return f"users/{self.user_id}/activities/{self.session_id}"

"""What a viewer is to an owner, as the use cases of profiles ask it of relations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

from services.identity.visibility.rules import Audience, Standing


class Relations(Protocol):
    """Who is what to whom."""

    async def between(self, viewer: uuid.UUID | None, owner: uuid.UUID) -> Standing:
        """What a viewer is to an owner; a stranger to people who are not there."""

    async def filter(
        self, viewer: uuid.UUID | None, owners: Sequence[uuid.UUID], audience: Audience
    ) -> list[uuid.UUID]:
        """Those of the owners, in their order, whose things for that audience a viewer sees."""

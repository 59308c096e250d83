"""Use cases of avatars: where to send a picture, making it the avatar, removing it.

Owns the order: files first, then the profile that names them, then the files of before.
What is killed in between is made good by the repeat or by `sweep`.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta

import structlog

from mesh.runtime.blobs import PUBLIC, BlobGone, BlobName, Blobs, BlobTooLarge, Grant
from mesh.runtime.clock import Clock
from mesh.runtime.errors import Unavailable
from services.identity import events
from services.identity.profiles import rules, variants
from services.identity.profiles.pictures import MEDIA_TYPES, Pictures
from services.identity.profiles.rules import Profile
from services.identity.profiles.store import ProfileStore

MAX_BYTES = 10 << 20
SENT_WITHIN_S = 3_600
TRIES = 5
SWEPT_AFTER = timedelta(minutes=2)
"""No call lives as long: what it wrote is named by a profile then, or by nobody."""
SWEPT_AT_ONCE = 100
_HASH_LETTERS = 16
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AvatarFlow:
    """Changing pictures of people."""

    store: ProfileStore
    blobs: Blobs
    pictures: Pictures
    clock: Clock

    def grant(self, user: uuid.UUID, size_bytes: int) -> tuple[str, Grant]:
        """The upload's id, and where to send."""
        blob = self.blobs.name(user, variants.KIND)
        grant = self.blobs.grant_upload(
            blob,
            MEDIA_TYPES,
            max_bytes=MAX_BYTES,
            for_s=SENT_WITHIN_S,
            size_bytes=size_bytes or None,
        )
        return blob.name, grant

    def uris(self, profile: Profile) -> tuple[str, ...]:
        """Where the avatar's files are, the larger first; none where there is no avatar."""
        return tuple(
            self.blobs.public_uri(name) for name in variants.names(profile.user_id, profile.avatar)
        )

    async def set(self, user: uuid.UUID, upload: uuid.UUID, etag: str) -> Profile:
        """Makes what was sent the avatar; a repeat finds it made.

        Raises:
            UserNotFound, EtagMismatch, AvatarUploadNotFound, AvatarUnreadable, AvatarTooLarge
        """
        sent, avatar = self.blobs.name(user, variants.KIND, name=str(upload)), ""
        for _ in range(TRIES):
            profile = await self._profile(user)
            # Told before anything is drawn, and once more with what was drawn.
            if rules.with_avatar(profile, avatar, upload, etag, self.clock()) is profile:
                return profile
            if not avatar:
                avatar = await self._drawn(user, sent)
                continue
            changed = rules.with_avatar(profile, avatar, upload, etag, self.clock())
            if await self.store.save(changed, events.profile_updated(changed)):
                await self._delete(sent, *variants.names(user, profile.avatar))
                return changed
        raise rules.EtagMismatch

    async def delete(self, user: uuid.UUID, etag: str) -> Profile:
        """Removes the avatar.

        Raises:
            UserNotFound, EtagMismatch
        """
        for _ in range(TRIES):
            profile = await self._profile(user)
            changed = rules.without_avatar(profile, etag, self.clock())
            if changed is profile:
                return profile
            if await self.store.save(changed, events.profile_updated(changed)):
                await self._delete(*variants.names(user, profile.avatar))
                return changed
        raise rules.EtagMismatch

    async def sweep(self) -> None:
        """Removes files that no profile names any more: whoever was to do it was killed."""
        before = self.clock() - SWEPT_AFTER
        for user, avatar, version in await self.store.stale_avatars(before, SWEPT_AT_ONCE):
            named = {name.name for name in variants.names(user, avatar)}
            for found in await self.blobs.of_kind(user, variants.KIND, PUBLIC):
                if found not in named:
                    await self.blobs.delete(self.blobs.name(user, variants.KIND, PUBLIC, found))
            await self.store.swept(user, version)

    async def _profile(self, user: uuid.UUID) -> Profile:
        found = await self.store.profile(user)
        if found is None:
            raise rules.UserNotFound
        return found

    async def _drawn(self, user: uuid.UUID, sent: BlobName) -> str:
        """Writes the files of an avatar; the part of their names that they share."""
        try:
            content = await self.blobs.read(sent, MAX_BYTES)
        except BlobGone:
            twin = await self._profile(user)
            if str(twin.avatar_upload) == sent.name:
                return twin.avatar
            raise rules.AvatarUploadNotFound from None
        except BlobTooLarge as error:
            raise rules.AvatarTooLarge(str(error)) from None
        drawn = await self.pictures.squares(content, variants.SIZES_PX)
        avatar = f"{sent.name}-{hashlib.sha256(drawn[0]).hexdigest()[:_HASH_LETTERS]}"
        for name, picture in zip(variants.names(user, avatar), drawn, strict=True):
            await self.blobs.write(name, picture)
        return avatar

    async def _delete(self, *blobs: BlobName) -> None:
        try:
            await self.blobs.delete(*blobs)
        except Unavailable as error:
            # The profile is changed; the sweep finds what is left.
            _log.warning("files_left", error=str(error))

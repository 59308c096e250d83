"""What the files of an avatar are called, and how large each is.

A name is of one upload and one content, so that another picture has another address.
"""

from __future__ import annotations

import uuid

from mesh.runtime.blobs import PUBLIC, BlobName

SERVICE, KIND = "identity", "avatar"
SIZES_PX = (512, 128)
"""Width and height of each, the larger first."""


def names(user: uuid.UUID, avatar: str) -> tuple[BlobName, ...]:
    """The files of an avatar, by `SIZES_PX`; none where there is no avatar."""
    if not avatar:
        return ()
    return tuple(
        BlobName(PUBLIC, SERVICE, user, KIND, f"{avatar}-{size_px}.webp") for size_px in SIZES_PX
    )

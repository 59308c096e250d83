"""A picture as people send it -> squares of pixels, and nothing else that was in the file.

Owns the bounds of drawing what strangers send: formats, pixels, how many at once. Work is
done in threads, so that calls go on meanwhile.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from services.identity.profiles.rules import AvatarTooLarge, AvatarUnreadable

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {"JPEG": 50_000_000, "PNG": 25_000_000, "WEBP": 25_000_000}
"""The most pixels of each. A JPEG is drawn at a fraction of its size to begin with."""
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")
AT_ONCE = 2
_QUALITY, _EFFORT = 82, 4


class Pictures:
    """Draws at most two at once: each may take 100 MiB for a moment."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def squares(self, content: bytes, sizes_px: tuple[int, ...]) -> list[bytes]:
        """The middle of the picture as WebP, once per size.

        Raises:
            AvatarUnreadable, AvatarTooLarge
        """
        async with self._turns:
            return await asyncio.to_thread(squares, content, sizes_px)


def squares(content: bytes, sizes_px: tuple[int, ...]) -> list[bytes]:
    """The same, here and now."""
    try:
        upright = _upright(content, max(sizes_px))
        return [_webp(upright, size_px) for size_px in sizes_px]
    except AvatarTooLarge:
        raise
    except Exception as error:
        # What is made to break decoders breaks them in any way.
        raise AvatarUnreadable from error


def _upright(content: bytes, size_px: int) -> Image:
    from PIL import Image, ImageOps

    try:
        opened = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise AvatarTooLarge from error
    # Only the head was read so far.
    if opened.width * opened.height > FORMATS[str(opened.format)]:
        raise AvatarTooLarge(f"{opened.width} × {opened.height} pixels")
    opened.draft("RGB", (2 * size_px, 2 * size_px))
    upright = ImageOps.exif_transpose(opened)
    return _in_srgb(upright)


def _in_srgb(image: Image) -> Image:
    """With the colours that screens expect, for the profile that says otherwise goes."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        told = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, told, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        if converted is not None:
            return converted
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _webp(image: Image, size_px: int) -> bytes:
    from PIL import Image, ImageOps

    fitted = ImageOps.fit(image, (size_px, size_px), Image.Resampling.LANCZOS)
    # A new image has pixels only: no EXIF, no XMP, no profile, no text.
    clean = Image.new(fitted.mode, fitted.size)
    clean.paste(fitted)
    written = io.BytesIO()
    clean.save(written, "WEBP", quality=_QUALITY, method=_EFFORT)
    return written.getvalue()

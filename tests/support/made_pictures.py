"""Pictures as phones make them: turned by a flag, with the place where they were taken."""

from __future__ import annotations

import io

from PIL import ExifTags, Image, PngImagePlugin

WIDE_PX, HIGH_PX = 640, 480
RED, BLUE = (220, 30, 30), (30, 30, 220)
LATITUDE = (59.0, 56.0, 4.0)
CAMERA = "Palestra Testcam"
COMMENT = b"somebody-was-here"
_TURNED = 6
"""To be turned to the right by a quarter when shown."""


def jpeg(wide_px: int = WIDE_PX, high_px: int = HIGH_PX) -> bytes:
    """Its left half is red, its right half blue; turned, red is above."""
    image = Image.new("RGB", (wide_px, high_px), RED)
    image.paste(BLUE, (wide_px // 2, 0, wide_px, high_px))
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = _TURNED
    exif[ExifTags.Base.Make] = CAMERA
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = LATITUDE
    written = io.BytesIO()
    image.save(written, "JPEG", exif=exif, comment=COMMENT)
    return written.getvalue()


def png(wide_px: int = 64, high_px: int = 64) -> bytes:
    """With an invisible half, and a text."""
    image = Image.new("RGBA", (wide_px, high_px), (*RED, 255))
    image.paste((0, 0, 0, 0), (wide_px // 2, 0, wide_px, high_px))
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", COMMENT.decode())
    written = io.BytesIO()
    image.save(written, "PNG", pnginfo=info)
    return written.getvalue()


def bomb() -> bytes:
    """A small file that is 36 million pixels."""
    written = io.BytesIO()
    Image.new("1", (6_000, 6_000)).save(written, "PNG", optimize=True)
    return written.getvalue()

"""What is made of pictures that people send, and what is refused."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from services.identity.profiles.pictures import squares
from services.identity.profiles.rules import AvatarTooLarge, AvatarUnreadable
from tests.support import made_pictures

SIZES_PX = (512, 128)


def drawn(content: bytes) -> list[Image.Image]:
    return [Image.open(io.BytesIO(each)) for each in squares(content, SIZES_PX)]


def test_a_phones_picture_becomes_upright_squares() -> None:
    for image, size_px in zip(drawn(made_pictures.jpeg()), SIZES_PX, strict=True):
        assert (image.format, image.size) == ("WEBP", (size_px, size_px))
        above = image.convert("RGB").getpixel((size_px // 2, size_px // 10))
        below = image.convert("RGB").getpixel((size_px // 2, size_px * 9 // 10))
        assert isinstance(above, tuple)
        assert isinstance(below, tuple)
        assert above[0] > 150 > below[0]
        assert below[2] > 150 > above[2]


def test_only_pixels_are_left() -> None:
    source = made_pictures.jpeg()
    # What may not be left is there to begin with.
    assert Image.open(io.BytesIO(source)).getexif().get_ifd(0x8825)
    assert made_pictures.COMMENT in source
    for packed in squares(source, SIZES_PX):
        image = Image.open(io.BytesIO(packed))
        assert not image.getexif()
        assert not image.getexif().get_ifd(0x8825)
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)
        for chunk in (b"EXIF", b"XMP ", b"ICCP", made_pictures.CAMERA.encode()):
            assert chunk not in packed
    assert made_pictures.COMMENT not in squares(made_pictures.png(), SIZES_PX)[0]


def test_what_is_see_through_stays_so() -> None:
    image = drawn(made_pictures.png())[0].convert("RGBA")
    left, right = image.getpixel((10, 256)), image.getpixel((500, 256))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert (left[3], right[3]) == (255, 0)


def test_the_same_picture_gives_the_same_bytes() -> None:
    assert squares(made_pictures.jpeg(), SIZES_PX) == squares(made_pictures.jpeg(), SIZES_PX)


def test_a_bomb_is_not_drawn() -> None:
    packed = made_pictures.bomb()
    assert len(packed) < 20_000
    with pytest.raises(AvatarTooLarge):
        squares(packed, SIZES_PX)


@pytest.mark.parametrize("part", [1.0, 0.5, 0.05])
def test_what_cannot_be_drawn_is_refused(part: float) -> None:
    whole = made_pictures.jpeg()
    cut = whole[: int(len(whole) * part)] if part < 1 else b"GIF89a" + bytes(100)
    with pytest.raises(AvatarUnreadable):
        squares(cut, SIZES_PX)

"""A text as a QR code to be scanned from a screen."""

from __future__ import annotations

import io


def svg(text: str) -> str:
    """An SVG document without size: it fills what it is put into."""
    import segno

    drawn = io.BytesIO()
    segno.make_qr(text, error="m").save(
        drawn, kind="svg", border=4, light="#fff", dark="#000", omitsize=True, xmldecl=False
    )
    return drawn.getvalue().decode()

"""The figures as a picture: stacked bars of CPU µs by process, and the targets, as SVG.

Owns the drawing. A panel has an axis of its own, so that what costs 40 µs and what costs
40 ms are both legible. Follows the viewer's light or dark; every bar says in words what it
shows, for those who do not see colours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final
from xml.sax.saxutils import escape

from tests.load.figures import Rounds
from tests.load.report import number

# Okabe and Ito's colours, told apart with any sight; what is not named is `other`.
COLOURS: Final[Mapping[str, str]] = {
    "edge": "#0072B2",
    "node": "#56B4E9",
    "identity": "#CC79A7",
    "integration": "#F0E442",
    "training": "#009E73",
    "postgres": "#D55E00",
    "redis": "#E69F00",
    "peer": "#8C6BB1",
    "other": "#999999",
}
WIDTH: Final = 1000
_LEFT: Final = 210
_RIGHT: Final = 110
_ROW: Final = 26
_BAR: Final = 16
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1b1b1b; }
.title { font-size: 17px; font-weight: 600; }
.panel { font-size: 14px; font-weight: 600; }
.small { font-size: 11px; fill: #555; }
.miss { fill: #b00020; font-weight: 600; }
.ground { fill: #ffffff; }
.axis { stroke: #d8d8d8; stroke-width: 1; }
.target { stroke: #1b1b1b; stroke-width: 2; stroke-dasharray: 3 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #ececec; }
  .small { fill: #a8a8a8; }
  .miss { fill: #ff8a8a; }
  .ground { fill: #16181c; }
  .axis { stroke: #3a3d44; }
  .target { stroke: #ececec; }
}
"""


def draw(measured: Sequence[Rounds], title: str, told: str) -> str:
    """The whole picture; `told` is the line under its title."""
    drawn = [each for each in measured if each.in_all_us()]
    panels = list(dict.fromkeys(each.panel for each in drawn))
    parts, top = [_legend(drawn)], 92
    for panel in panels:
        rows = [each for each in drawn if each.panel == panel]
        parts.append(_panel(panel, rows, top))
        top += 58 + _ROW * len(rows)
    height = top + 10
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'role="img" aria-labelledby="title about">'
            ),
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="about">{escape(_in_words(drawn))}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
            f'<text class="title" x="20" y="30">{escape(title)}</text>',
            f'<text class="small" x="20" y="48">{escape(told)}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def shares(each: Rounds) -> dict[str, float]:
    """CPU µs for one unit by what has a colour of its own."""
    found = dict.fromkeys(COLOURS, 0.0)
    for group, us in (each.per_unit_us() or {}).items():
        found[group if group in COLOURS else "other"] += us
    return {group: us for group, us in found.items() if us}


def _in_words(measured: Sequence[Rounds]) -> str:
    return " ".join(f"{each.name}: {number(_total(each))} µs per {each.unit}." for each in measured)


def _total(each: Rounds) -> float:
    return median(each.in_all_us())


def _legend(measured: Sequence[Rounds]) -> str:
    used = {group for each in measured for group in shares(each)}
    parts, x = [], 20
    for group, colour in COLOURS.items():
        if group in used:
            parts.append(f'<rect x="{x}" y="60" width="12" height="12" fill="{colour}"/>')
            parts.append(f'<text class="small" x="{x + 17}" y="70">{escape(group)}</text>')
            x += 34 + 7 * len(group)
    parts.append(f'<path class="target" d="M{x + 4} 58 v16"/>')
    parts.append(f'<text class="small" x="{x + 12}" y="70">target, of all unless said</text>')
    return "\n".join(parts)


def _panel(panel: str, rows: Sequence[Rounds], top: int) -> str:
    most = max(max(_total(each), _line(each) or 0) for each in rows)
    step = _step(most)
    end = step * math.ceil(most / step)
    scale = (WIDTH - _LEFT - _RIGHT) / end
    bottom = top + 14 + _ROW * len(rows)
    parts = [f'<text class="panel" x="20" y="{top}">{escape(panel)}</text>']
    for tick in range(math.ceil(most / step) + 1):
        x = _LEFT + tick * step * scale
        parts.append(f'<path class="axis" d="M{x:.1f} {top + 10} V{bottom}"/>')
        parts.append(
            f'<text class="small" text-anchor="middle" x="{x:.1f}" y="{bottom + 14}">'
            f"{tick * step:,g}{' µs' if tick == 0 else ''}</text>"
        )
    for place, each in enumerate(rows):
        parts.append(_row(each, top + 14 + _ROW * place, scale))
    return "\n".join(parts)


def _row(each: Rounds, top: int, scale: float) -> str:
    x, total = float(_LEFT), _total(each)
    parts = [f'<text text-anchor="end" x="{_LEFT - 10}" y="{top + 13}">{escape(each.name)}</text>']
    costs = shares(each)
    # The shares are of the round in the middle; of an even number their sum is a little off.
    fit = total / sum(costs.values())
    for group, us in costs.items():
        width = us * fit * scale
        parts.append(
            f'<rect x="{x:.2f}" y="{top}" width="{width:.2f}" height="{_BAR}" '
            f'fill="{COLOURS[group]}"><title>{escape(group)}: {number(us)} µs</title></rect>'
        )
        x += width
    word = "miss" if each.hit is False else ""
    parts.append(
        f'<text class="{word}" x="{WIDTH - 20}" text-anchor="end" y="{top + 13}">'
        f"{number(total)}{' miss' if word else ''}</text>"
    )
    line = _line(each)
    if line is not None:
        at = _LEFT + line * scale
        parts.append(
            f'<path class="target" d="M{at:.1f} {top - 3} v{_BAR + 6}">'
            f"<title>target: {number(line)} µs</title></path>"
        )
    return "\n".join(parts)


def _line(each: Rounds) -> float | None:
    """Where a target stands in the bar; one of some processes only stands in no sum."""
    target = each.target
    return target.most_us if target is not None and not target.groups else None


def _step(most: float) -> float:
    """Between two ticks: a round number that gives four to ten of them."""
    power: float = 10 ** math.floor(math.log10(most))
    return next(step for step in (power / 5, power / 2, power, power * 2) if most / step <= 8)

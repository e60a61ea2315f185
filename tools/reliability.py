"""Reliability diagrams: of answers of about this confidence, how many were right? As text, and as SVG for the docs."""

from __future__ import annotations

import math
from typing import Final

from processor.models.calibration import Measured

SIDE: Final = 300
"""Of the SVG's square, in pixels: 0 to 1 in both directions."""

EDGE: Final = 44
"""Around the square, for the axes."""

Z: Final = 1.96
"""95 % intervals."""


def text(measured: Measured) -> str:
    """A line per bin, the share that was right as a bar, confidence as a mark."""
    lines = [f"{'answers':>8} {'said':>6} {'right':>6}  0{'right: #   said: |':^38}1"]
    for count, said, right in measured.bins:
        bar = list("#" * round(right * 40) + " " * (40 - round(right * 40)))
        bar[min(39, round(said * 40))] = "|"
        lines.append(f"{count:8} {said:6.2f} {right:6.2f}  {''.join(bar)}")
    return "\n".join(lines)


def svg(measured: Measured, title: str) -> str:
    """A point per bin with its 95 % interval, beside the diagonal on which perfectly calibrated confidences lie."""
    size = SIDE + 2 * EDGE
    box = f'viewBox="0 0 {size} {size}" width="{size}" height="{size}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="11">',
        f'<rect width="{size}" height="{size}" fill="white"/>',
        f'<rect x="{EDGE}" y="{EDGE}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>',
        _line(0, 0, 1, 1, 'stroke="#888" stroke-dasharray="4 4"'),
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<text x="{_x(tick):g}" y="{EDGE + SIDE + 15}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{EDGE - 6}" y="{_y(tick) + 4:g}" text-anchor="end">{tick:g}</text>')
    for count, said, right in measured.bins:
        low, high = interval(right, count)
        parts.append(_line(said, low, said, high, 'stroke="#2a6f97"'))
        parts.append(f'<circle cx="{_x(said):g}" cy="{_y(right):g}" r="{math.sqrt(count):.1f}" fill="#2a6f97"/>')
    middle = EDGE + SIDE // 2
    parts += [
        f'<text x="{middle}" y="{EDGE // 2}" text-anchor="middle" font-size="13">{title}</text>',
        f'<text x="{middle}" y="{size - 8}" text-anchor="middle">confidence, mean of the bin</text>',
        f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">share right</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def interval(share: float, count: int) -> tuple[float, float]:
    """Of a share of so many, where the true one lies with 95 % (Wilson, 1927)."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _x(value: float) -> float:
    return round(EDGE + SIDE * value, 1)


def _y(value: float) -> float:
    return round(EDGE + SIDE * (1 - value), 1)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{_x(x1):g}" y1="{_y(y1):g}" x2="{_x(x2):g}" y2="{_y(y2):g}" {style}/>'

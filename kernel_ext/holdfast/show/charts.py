"""Small pictures that need no plotting library: enough to see at 3 a.m. whether a curve goes up or down."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from holdfast.show.bundle import Bundle, show
from holdfast.show.tables import text_of

Moment = datetime.datetime | float
_COLOURS = ("#4f43dd", "#d9480f", "#2b8a3e", "#c2255c", "#1971c2", "#846200")
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 160, 70, 24
_BARS = "▁▂▃▄▅▆▇█"


def lines(series: Mapping[str, Iterable[tuple[Moment, float]]], *, title: str = "", unit: str = "", limit: float | None = None) -> None:
    """Show values over time, one line per series.

    Args:
        series: name to points ``(time, value)``: times as ``datetime`` or seconds.
        unit: of the values.
        limit: a level that matters, drawn dashed.
    """
    drawn = {name: sorted((_seconds(at), float(value)) for at, value in points) for name, points in series.items()}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        show(Bundle(f"{title or 'chart'}: no values"))
        return
    times = [at for points in drawn.values() for at, _ in points]
    values = [value for points in drawn.values() for _, value in points] + ([] if limit is None else [limit])
    (begin, end), (low, high) = (min(times), max(times)), (min(0.0, *values), max(values))
    across, up = (end - begin) or 1.0, (high - low) or 1.0

    def place(at: float, value: float) -> str:
        return f"{_LEFT + (at - begin) / across * _WIDTH:.1f},{_TOP + _HEIGHT - (value - low) / up * _HEIGHT:.1f}"

    parts = [_text(0, 14, title, "bold"), _text(0, _TOP + 8, f"{text_of(high)} {unit}"), _text(0, _TOP + _HEIGHT, f"{text_of(low)} {unit}")]
    parts.append(f'<path d="M{_LEFT},{_TOP}V{_TOP + _HEIGHT}H{_LEFT + _WIDTH}" fill="none" stroke="#888"/>')
    if limit is not None:
        parts.append(f'<polyline points="{place(begin, limit)} {place(end, limit)}" fill="none" stroke="#e03131" stroke-dasharray="6 4"/>')
    for n, (name, points) in enumerate(drawn.items()):
        colour = _COLOURS[n % len(_COLOURS)]
        path = " ".join(place(*point) for point in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(_LEFT + 8, _TOP + _HEIGHT + 34 + 16 * n, name, colour=colour))
    parts.append(_text(_LEFT, _TOP + _HEIGHT + 16, _clock(begin)))
    parts.append(_text(_LEFT + _WIDTH - 110, _TOP + _HEIGHT + 16, _clock(end)))
    plain = [f"{name}: {_spark([v for _, v in points])} last {text_of(points[-1][1])} {unit}".rstrip() for name, points in drawn.items()]
    _draw(parts, _LEFT + _WIDTH + 10, _TOP + _HEIGHT + 30 + 16 * len(drawn), "\n".join([*([title] if title else []), *plain]))


def bars(values: Mapping[str, float], *, title: str = "", unit: str = "") -> None:
    """Show one horizontal bar per name.

    Args:
        unit: of the values.
    """
    top = max([*values.values(), 0.0]) or 1.0
    wide = min(max([len(name) for name in values] or [0]), 60)
    left = 8 * wide + 10
    parts = [_text(0, 14, title, "bold")]
    for n, (name, value) in enumerate(values.items()):
        y = _TOP + 22 * n
        parts.append(_text(0, y + 14, name if len(name) <= wide else name[: wide - 1] + "…"))
        parts.append(f'<rect x="{left}" y="{y}" width="{max(value, 0) / top * 400:.0f}" height="18" fill="{_COLOURS[0]}"/>')
        parts.append(_text(left + 6 + int(max(value, 0) / top * 400), y + 14, f"{text_of(value)} {unit}"))
    plain = [
        f"{name.ljust(wide)}  {'█' * round(30 * max(value, 0) / top)} {text_of(value)} {unit}".rstrip() for name, value in values.items()
    ]
    _draw(parts, left + 560, _TOP + 22 * len(values) + 6, "\n".join([*([title] if title else []), *plain]))


def _draw(parts: Sequence[str], width: int, height: int, plain: str) -> None:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    style = 'font-family="sans-serif" font-size="12" style="background:#fff"'
    show(Bundle(plain, image_svg=f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(parts)}</svg>'))


def _text(x: int, y: int, text: str, weight: str = "normal", colour: str = "#222") -> str:
    return f'<text x="{x}" y="{y}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>' if text else ""


def _seconds(at: Moment) -> float:
    return at.timestamp() if isinstance(at, datetime.datetime) else float(at)


def _clock(at: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%m-%d %H:%M:%S}"


def _spark(values: Sequence[float]) -> str:
    low, high = min(0.0, *values), max(values)
    return "".join(_BARS[round((value - low) / ((high - low) or 1.0) * 7)] for value in values[-60:])

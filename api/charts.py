"""Small charts over time: numbers in, an SVG element out. Colours and strokes are the style sheet's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from api.figure_words import known

HEIGHT = 64
WIDTH = 180
TWICE = 395
"""Of a chart in a card of double width, so that both are drawn to the same scale."""
_MARGIN = 5.0
_DENSE = 30
"""From so many points on, dots would touch."""


@dataclass(frozen=True, slots=True)
class Point:
    words: str
    """What its tooltip says."""
    value: float | None
    """None: a gap."""
    low: float | None = None
    high: float | None = None
    settled: bool = True
    """Else its value may still change, and it is drawn hollow."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From (index, value) to where it is drawn."""

    points: int
    width: int
    lowest: float
    highest: float

    def x(self, index: int) -> float:
        room = self.width - 2 * _MARGIN
        return self.width / 2 if self.points == 1 else _MARGIN + room * index / (self.points - 1)

    def y(self, value: float) -> float:
        share = (value - self.lowest) / (self.highest - self.lowest)
        return HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * share


def line_chart(label: str, points: Sequence[Point]) -> Markup:
    """The oldest on the left, counted from zero. A gap interrupts the line; a point by itself is a dot on a stem."""
    scale = _scale(points, WIDTH)
    svg = _svg(label, scale)
    _add_line(svg, "axis", (0, scale.y(0)), (WIDTH, scale.y(0)))
    for stretch in _stretches(points):
        if len(stretch) == 1:
            [(index, value)] = stretch
            _add_line(svg, "stem", (scale.x(index), scale.y(0)), (scale.x(index), scale.y(value)))
        elif stretch:
            drawn = [f"{scale.x(index):.1f},{scale.y(value):.1f}" for index, value in stretch]
            ground = f"{scale.y(0):.1f}"
            under = [f"{scale.x(stretch[0][0]):.1f},{ground}", *drawn, f"{scale.x(stretch[-1][0]):.1f},{ground}"]
            SubElement(svg, "polygon", {"class": "area", "points": " ".join(under)})
            SubElement(svg, "polyline", {"class": "line", "points": " ".join(drawn)})
    _add_points(svg, scale, points, lambda _: "dot")
    return _drawn(svg)


def interval_chart(label: str, points: Sequence[Point]) -> Markup:
    """Each value with its interval, around a line at zero; its class says whether zero is within."""
    scale = _scale(points, TWICE)
    svg = _svg(label, scale)
    _add_line(svg, "zero", (0, scale.y(0)), (TWICE, scale.y(0)))
    _add_points(svg, scale, points, _side)
    return _drawn(svg)


def _scale(points: Sequence[Point], width: int) -> _Scale:
    """Zero is always on it."""
    numbers = [number for point in points for number in (point.value, point.low, point.high) if known(number)]
    lowest, highest = min([0.0, *numbers]), max([0.0, *numbers])
    return _Scale(len(points), width, lowest, highest) if lowest < highest else _Scale(len(points), width, 0, 1)


def _stretches(points: Sequence[Point]) -> Iterator[list[tuple[int, float]]]:
    """(index, value) of the points between two gaps."""
    stretch: list[tuple[int, float]] = []
    for index, point in enumerate(points):
        if known(point.value):
            stretch.append((index, point.value))
        else:
            yield stretch
            stretch = []
    yield stretch


def _side(point: Point) -> str:
    if known(point.low) and point.low > 0:
        return "dot above"
    return "dot below" if known(point.high) and point.high < 0 else "dot within"


def _add_points(svg: Element, scale: _Scale, points: Sequence[Point], style: Callable[[Point], str]) -> None:
    """Each with a column of its own that the pointer finds; the newest is the largest."""
    column = (scale.width - 2 * _MARGIN) / max(len(points) - 1, 1)
    size = "0.8" if len(points) > _DENSE else "1.5"
    for index, point in enumerate(points):
        group = SubElement(svg, "g", {"class": style(point) + ("" if point.settled else " open")})
        SubElement(group, "title").text = point.words
        left = scale.x(index) - column / 2
        SubElement(
            group, "rect", {"class": "column", "x": f"{left:.1f}", "width": f"{column:.1f}", "height": str(HEIGHT)}
        )
        if not known(point.value):
            continue
        x, y = scale.x(index), scale.y(point.value)
        if known(point.low) and known(point.high):
            _add_line(group, "whisker", (x, scale.y(point.low)), (x, scale.y(point.high)))
        radius = "2.4" if index == len(points) - 1 else size
        SubElement(group, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": radius})


def _add_line(parent: Element, style: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    (x1, y1), (x2, y2) = start, end
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    SubElement(parent, "line", {"class": style, **ends})


def _svg(label: str, scale: _Scale) -> Element:
    return Element(
        "svg", {"class": "chart", "viewBox": f"0 0 {scale.width} {HEIGHT}", "role": "img", "aria-label": label}
    )


def _drawn(svg: Element) -> Markup:
    return Markup(tostring(svg, encoding="unicode"))  # noqa: S704 - ElementTree has escaped every text in it

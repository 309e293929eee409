from collections.abc import Callable, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element, fromstring

import pytest
from markupsafe import Markup

from api.charts import HEIGHT, TWICE, WIDTH, Point, interval_chart, line_chart

HOSTILE = "<script>alert(1)</script>\" onload='x' &amp; ]]>"


def read(drawn: Markup) -> Element:
    return fromstring(drawn)  # noqa: S314 - our own


def line(*values: float | None) -> Element:
    return read(line_chart("sent", [Point(f"run {n}", value) for n, value in enumerate(values)]))


def interval(*values: tuple[float, float, float] | None) -> Element:
    points = [Point(f"run {n}", *(each or (None, None, None))) for n, each in enumerate(values)]
    return read(interval_chart("lift", points))


def circles(svg: Element) -> list[tuple[float, float]]:
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in svg.iter("circle")]


def lines(svg: Element) -> list[str]:
    return [each.attrib["points"] for each in svg.iter("polyline")]


def titles(svg: Element) -> list[str | None]:
    return [each.text for each in svg.iter("title")]


def test_a_chart_says_what_it_shows() -> None:
    svg = line(1, 2)
    assert (svg.attrib["role"], svg.attrib["aria-label"]) == ("img", "sent")
    assert titles(svg) == ["run 0", "run 1"]


def test_the_oldest_is_on_the_left_and_more_is_higher() -> None:
    (x1, y1), (x2, y2), (x3, y3) = circles(line(10, 20, 15))
    assert x1 < x2 < x3
    assert y2 < y3 < y1
    assert lines(line(10, 20, 15)) == [f"{x1:.1f},{y1:.1f} {x2:.1f},{y2:.1f} {x3:.1f},{y3:.1f}"]


def test_a_line_counts_from_zero() -> None:
    svg = line(50, 100)
    [axis] = [each for each in svg.iter("line") if each.attrib["class"] == "axis"]
    ground = float(axis.attrib["y1"])
    (_, half), (_, whole) = circles(svg)
    assert ground - half == pytest.approx((ground - whole) / 2, abs=0.1)


def test_a_gap_interrupts_the_line_and_keeps_its_words() -> None:
    svg = line(1, 2, None, 3, 4)
    assert [len(each.split()) for each in lines(svg)] == [2, 2]
    assert len(circles(svg)) == 4
    assert titles(svg) == [f"run {number}" for number in range(5)]


def test_one_point_between_two_gaps_is_a_dot_on_a_stem() -> None:
    svg = line(None, 3, None)
    assert lines(svg) == []
    [(x, y)] = circles(svg)
    [stem] = [each for each in svg.iter("line") if each.attrib["class"] == "stem"]
    assert (float(stem.attrib["x1"]), float(stem.attrib["y2"])) == (x, y)


def test_a_single_point_stands_in_the_middle() -> None:
    [(x, _)] = circles(line(7))
    assert x == WIDTH / 2


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_a_gap(nothing: float | None) -> None:
    svg = line(1, nothing, 2)
    assert len(circles(svg)) == 2
    assert "nan" not in line_chart("sent", [Point("x", nothing)])


@pytest.mark.parametrize("values", [(), (None, None), (0, 0, 0), (0,)])
def test_where_there_is_nothing_to_see_the_axis_is_at_the_bottom(values: tuple[float | None, ...]) -> None:
    svg = line(*values)
    [axis] = [each for each in svg.iter("line") if each.attrib["class"] == "axis"]
    assert HEIGHT / 2 < float(axis.attrib["y1"]) < HEIGHT
    assert {y for _, y in circles(svg)} <= {float(axis.attrib["y1"])}


def test_huge_numbers_stay_within_the_picture() -> None:
    for x, y in circles(line(0, 2**63, 1e300, 1)):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_sixty_points_have_sixty_places() -> None:
    places = [x for x, _ in circles(line(*range(60)))]
    assert len(places) == 60
    assert all(left < right for left, right in pairwise(places))
    assert max(places) <= WIDTH


def test_what_may_still_change_is_hollow() -> None:
    svg = read(line_chart("sent", [Point("closed", 1), Point("running", 2, settled=False)]))
    assert [each.attrib["class"] for each in svg.iter("g")] == ["dot", "dot open"]


def test_an_interval_says_by_its_class_whether_zero_is_within() -> None:
    svg = interval((0.2, 0.1, 0.3), (0.1, -0.1, 0.3), (-0.2, -0.3, -0.1), None)
    assert [each.attrib["class"] for each in svg.iter("g")] == ["dot above", "dot within", "dot below", "dot within"]
    whiskers = [each for each in svg.iter("line") if each.attrib["class"] == "whisker"]
    assert [float(each.attrib["y1"]) > float(each.attrib["y2"]) for each in whiskers] == [True] * 3


def test_the_zero_line_stands_between_more_and_less() -> None:
    svg = interval((0.2, 0.1, 0.3), (-0.2, -0.3, -0.1))
    [zero] = [each for each in svg.iter("line") if each.attrib["class"] == "zero"]
    (_, more), (_, less) = circles(svg)
    assert more < float(zero.attrib["y1"]) < less
    assert float(zero.attrib["x2"]) == TWICE


def test_an_interval_without_data_shows_only_the_zero_line() -> None:
    svg = interval(None)
    assert circles(svg) == []
    assert [each.attrib["class"] for each in svg.iter("line")] == ["zero"]


@pytest.mark.parametrize("draw", [line_chart, interval_chart])
def test_words_from_outside_stay_words(draw: Callable[[str, Sequence[Point]], Markup]) -> None:
    drawn = draw(HOSTILE, [Point(HOSTILE, 1)])
    assert "<script" not in drawn
    svg = read(drawn)
    assert titles(svg) == [HOSTILE]
    assert svg.attrib["aria-label"] == HOSTILE
    assert set(svg.attrib) == {"class", "viewBox", "role", "aria-label"}


def test_nothing_in_a_chart_needs_a_style_of_its_own() -> None:
    """The page's policy would block it."""
    for svg in (line(1, None, 2), interval((0.1, 0, 0.2))):
        assert not any("style" in each.attrib or each.tag == "style" for each in svg.iter())

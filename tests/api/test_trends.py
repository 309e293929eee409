from datetime import UTC
from xml.etree.ElementTree import Element, fromstring
from zoneinfo import ZoneInfo

from api.trends import Trend, rows, trends
from db.figures import RunFigures
from domain.states import RunState
from tests.api.figures_by_hand import LIFT, RUN, STILL_OPEN, a_run
from tests.api.measured_rows import WEEK

SEVEN = ["targeted", "sent", "failed", "clicked", "click-through rate", "effectiveness", "lift"]


def weekly(*changes: dict[str, object]) -> list[RunFigures]:
    """The oldest first as they are written here; as they are read the newest is first."""
    at = RUN.created_at
    return [a_run(created_at=at + week * WEEK, **each) for week, each in enumerate(changes)][::-1]


def charted(runs: list[RunFigures]) -> dict[str, Trend]:
    return {trend.name: trend for trend in trends(runs, UTC)}


def read(trend: Trend) -> Element:
    return fromstring(trend.chart)  # noqa: S314 - our own


def test_seven_figures_are_shown_over_time() -> None:
    assert list(charted(weekly({}, {}))) == SEVEN


def test_the_newest_value_and_the_ends_of_the_axis_are_said_in_words() -> None:
    sent = charted(weekly({"sent": 10}, {"sent": 3000}, {"sent": 20}))["sent"]
    assert (sent.newest.said, sent.newest.note) == ("20", "")
    assert sent.ends == ("10", "3,000")
    assert read(sent).attrib["aria-label"] == "sent over 3 runs: newest 20, lowest 10, highest 3,000"


def test_the_chart_begins_with_the_oldest() -> None:
    sent = charted(weekly({"sent": 10, "slot": "first"}, {"sent": 20, "slot": "second"}))["sent"]
    assert [each.text for each in read(sent).iter("title")] == ["5 Jan 2026, first: 10", "12 Jan 2026, second: 20"]


def test_while_the_newest_lift_is_open_the_last_known_one_is_shown_with_its_day() -> None:
    lift = charted(weekly({}, {"lift": STILL_OPEN}))["lift"]
    assert (lift.newest.said, lift.newest.note) == ("+10.5 points", "+1.0 to +19.0; of 5 Jan 2026")
    assert [each.text for each in read(lift).iter("title")][1] == "12 Jan 2026, 2026-01-05T09:00:00Z: still open"


def test_a_figure_of_which_nothing_is_known_says_why() -> None:
    lift = charted(weekly({"lift": STILL_OPEN}))["lift"]
    assert (lift.newest.said, lift.newest.note, lift.ends) == ("still open", "", None)
    assert read(lift).attrib["aria-label"] == "lift over 1 run: still open"


def test_one_run_has_no_lowest_and_no_highest() -> None:
    assert [trend.ends for trend in charted(weekly({})).values()] == [None] * 7


def test_a_run_that_has_no_audience_yet_is_a_gap_and_not_a_fall_to_zero() -> None:
    sent = charted(weekly({"sent": 10}, {"sent": 0, "targeted": None, "state": RunState.QUEUED}))["sent"]
    assert len(list(read(sent).iter("circle"))) == 1
    assert sent.newest.said == "10"


def test_what_may_still_change_is_a_figure_so_far() -> None:
    shown = charted(weekly({}, {"state": RunState.RUNNING}))
    assert [trend.newest.note for trend in shown.values()][:6] == [
        "",
        "so far",
        "so far",
        "so far",
        "so far",
        "still open",
    ]


def test_on_a_page_of_older_runs_each_figure_names_its_day() -> None:
    assert {trend.newest.note.rpartition("; ")[2] for trend in trends([RUN], UTC, older=True)} == {"of 5 Jan 2026"}


def test_the_lift_carries_its_interval() -> None:
    shown = read(charted(weekly({"lift": LIFT}))["lift"])
    assert [each.attrib["class"] for each in shown.iter("line")] == ["zero", "whisker"]


def test_a_row_says_when_it_began_in_the_campaigns_zone() -> None:
    [row] = rows([RUN], ZoneInfo("Europe/Berlin"))
    assert (row.slot, row.run) == ("2026-01-05T09:00:00Z", "0b8f4c1e")
    assert row.began == "Mon 5 Jan 2026, 10:00 CET"
    assert list(row.cells) == ["targeted", "held out", *SEVEN[1:]]

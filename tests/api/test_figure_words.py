import pytest

from api.figure_words import FIGURES, NONE_YET, points_words
from db.figures import RunFigures
from domain.states import RunState
from tests.api.figures_by_hand import EFFECTIVENESS, LIFT, STILL_OPEN, TOO_FEW, a_run

NAN = float("nan")


def said(run: RunFigures) -> dict[str, str]:
    return {name: str(words(run)) for name, words in FIGURES.items()}


def test_a_closed_run_in_words() -> None:
    assert said(a_run()) == {
        "targeted": "12,345",
        "held out": "100",
        "sent": "1,000",
        "failed": "3",
        "clicked": "240",
        "click-through rate": "24.0%",
        "effectiveness": "35.5%",
        "lift": "+10.5 points (+1.0 to +19.0)",
    }
    assert all(words(a_run()).known for words in FIGURES.values())


@pytest.mark.parametrize(
    ("state", "targeted"), [(RunState.QUEUED, None), (RunState.PAUSED, None), (RunState.FAILED, 0)]
)
def test_a_run_whose_audience_is_not_known_has_no_counts(state: RunState, targeted: int | None) -> None:
    run = a_run(state=state, targeted=targeted, held_out=0, sent=0, failed=0, clicked=0, click_through_rate=None)
    assert {said(run)[name] for name in list(FIGURES)[:6]} == {NONE_YET}


def test_a_share_while_windows_are_open_says_so() -> None:
    part = EFFECTIVENESS.model_copy(update={"awaited": 600})
    none = part.model_copy(update={"share": None})
    assert said(a_run(effectiveness=part))["effectiveness"] == "35.5% (still open)"
    assert said(a_run(effectiveness=none))["effectiveness"] == "still open"
    assert said(a_run(effectiveness=none.model_copy(update={"awaited": 0})))["effectiveness"] == "not enough data"


def test_a_run_that_still_sends_is_still_open_also_where_no_window_is_known_yet() -> None:
    nothing = EFFECTIVENESS.model_copy(update={"subjects": 0, "helped": 0, "share": None})
    assert said(a_run(effectiveness=nothing, state=RunState.RUNNING))["effectiveness"] == "still open"


def test_a_lift_that_cannot_be_said_says_why() -> None:
    for lift, words in ((STILL_OPEN, "still open"), (TOO_FEW, "not enough data"), (None, "no holdout")):
        shown = FIGURES["lift"](a_run(lift=lift))
        assert (shown.said, shown.known) == (words, False)
        assert len(shown.why) > len(words)


def test_a_campaign_that_measures_nothing_says_so() -> None:
    run = a_run(effectiveness=None, lift=None)
    assert (said(run)["effectiveness"], said(run)["lift"]) == ("not measured", "no holdout")


def test_what_is_no_number_is_never_shown() -> None:
    run = a_run(
        click_through_rate=NAN,
        effectiveness=EFFECTIVENESS.model_copy(update={"share": NAN}),
        lift=LIFT.model_copy(update={"low": NAN}),
    )
    assert not any("nan" in words for words in said(run).values())


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (0.1234, "+12.3 points"),
        (-0.05, "\N{MINUS SIGN}5.0 points"),
        (0.0, "0.0 points"),
        (-0.0004, "0.0 points"),
        (1, "+100.0 points"),
    ],
)
def test_a_difference_has_its_sign(difference: float, words: str) -> None:
    assert points_words(difference) == words

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

import campaigns
from campaigns.campaign import Schedule
from campaigns.registry import Registry, UnknownCampaignError, find_campaigns


@pytest.fixture
def more_campaigns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One more folder in which campaigns are found."""
    monkeypatch.setattr(campaigns, "__path__", [*campaigns.__path__, str(tmp_path)])
    yield tmp_path
    for file in tmp_path.glob("*.py"):
        monkeypatch.delattr(campaigns, file.stem, raising=False)
        monkeypatch.delitem(sys.modules, f"campaigns.{file.stem}", raising=False)


def write_campaign(folder: Path, file: str, name: str) -> None:
    (folder / file).write_text(
        "from dataclasses import replace\n"
        "from campaigns import lock_battery\n"
        f"CAMPAIGN = replace(lock_battery.CAMPAIGN, name={name!r})\n"
    )


def test_campaigns_are_found_by_themselves(more_campaigns: Path) -> None:
    assert list(find_campaigns({}, {}).campaigns) == ["lock_battery"]
    write_campaign(more_campaigns, "spring_cleaning.py", "spring_cleaning")
    assert set(find_campaigns({}, {}).campaigns) == {"lock_battery", "spring_cleaning"}


def test_a_name_that_is_used_twice_is_an_error_at_start(more_campaigns: Path) -> None:
    write_campaign(more_campaigns, "second.py", "lock_battery")
    with pytest.raises(ValueError, match=r"two campaigns are called 'lock_battery'.*campaigns/second\.py"):
        find_campaigns({}, {})


def test_an_unknown_campaign_is_refused_with_those_that_there_are() -> None:
    registry = find_campaigns({}, {})
    with pytest.raises(UnknownCampaignError, match="there is no campaign 'birthday'; there are: lock_battery"):
        registry["birthday"]
    with pytest.raises(UnknownCampaignError):
        registry.parameters("birthday", {})
    with pytest.raises(UnknownCampaignError, match="there are: none"):
        Registry({})["birthday"]


def test_what_a_run_is_given_goes_before_the_operators_default_and_that_before_the_campaigns() -> None:
    registry = find_campaigns({"lock_battery": {"ttl_seconds": 60}}, {})
    used = registry.parameters("lock_battery", {}).model_dump()
    assert (used["stale_after_days"], used["ttl_seconds"]) == (30, 60)
    given = registry.parameters("lock_battery", {"ttl_seconds": 5, "stale_after_days": 90})
    assert given.model_dump() == used | {"stale_after_days": 90, "ttl_seconds": 5}


@pytest.mark.parametrize("given", [{"stale_after_days": 0}, {"stale_after_days": "soon"}, {"colour": "red"}])
def test_a_bad_parameter_names_its_field(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        find_campaigns({}, {}).parameters("lock_battery", given)
    assert [problem["loc"] for problem in refused.value.errors()] == [(next(iter(given)),)]


def test_an_operators_default_that_is_bad_is_refused_too() -> None:
    with pytest.raises(ValidationError, match="ttl_seconds"):
        find_campaigns({"lock_battery": {"ttl_seconds": 0}}, {}).parameters("lock_battery", {})


def test_a_schedule_of_the_operator_is_made_of_the_campaigns_own() -> None:
    assert find_campaigns({}, {})["lock_battery"].schedule == Schedule("0 9 * * MON", "UTC")

    def in_berlin(planned: Schedule | None) -> Schedule | None:
        return replace(planned, zone="Europe/Berlin") if planned else None

    rescheduled = find_campaigns({}, {"lock_battery": in_berlin})["lock_battery"].schedule
    assert rescheduled == Schedule("0 9 * * MON", "Europe/Berlin")
    assert find_campaigns({}, {"lock_battery": lambda _: None})["lock_battery"].schedule is None

"""The lock campaign's own words, and what its rows become."""

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from campaigns.lock_battery import CAMPAIGN, LockBattery
from db.audience import add_messages, store_rows
from db.engine import create_database_engine, transaction
from db.runs import open_run
from db.tables import Message
from domain.last_check import NEVER_CHECKED, UNREADABLE, LastCheck, Standing
from domain.message import Recipient
from domain.outcomes import Reading
from domain.states import Awaited

AT = datetime(2026, 11, 16, 9, tzinfo=UTC)
DAY = 24 * 3600


def a_row(lock: str, token: str | None, owner: str = "owner-0001") -> Recipient:
    addresses = {"fcm": (token,)} if token else {}
    return Recipient(owner, lock, {"locks": [lock]}, addresses, person_key=owner)


def messages_of(database_url: str, rows: list[Recipient]) -> list[Message]:
    engine = create_database_engine(database_url)
    plan = CAMPAIGN.plan(LockBattery())
    with transaction(engine) as session:
        run = open_run(session, workflow_id="run:x", campaign="x", slot="x", parameters={}, plan=plan)
        store_rows(session, run.id, rows)
        store_rows(session, run.id, rows)  # a page that comes twice
        add_messages(session, run.id, ["fcm", "mqtt"])
        messages = list(session.scalars(select(Message)))
    engine.dispose()
    return messages


def test_a_person_with_two_tokens_for_one_lock_keeps_both_in_their_order(database_url: str) -> None:
    [message] = messages_of(database_url, [a_row("lock-1", "first"), a_row("lock-1", "second")])
    assert message.addresses == {"fcm": ["first", "second"]}
    assert message.facts == {"locks": ["lock-1"]}


def test_a_person_with_several_stale_locks_gets_one_message_that_names_them_all(database_url: str) -> None:
    [message] = messages_of(database_url, [a_row("lock-2", "token"), a_row("lock-1", "token")])
    assert isinstance(message.id, UUID)
    assert message.facts == {"locks": ["lock-1", "lock-2"]}
    text = CAMPAIGN.message(Recipient("owner-0001", facts=message.facts), LockBattery())
    assert "lock-1, lock-2" in text.body
    assert "2 locks" in text.title


def test_a_lock_of_two_owners_is_named_to_both(database_url: str) -> None:
    rows = [a_row("lock-1", "token-1", "owner-0001"), a_row("lock-1", "token-2", "owner-0002")]
    assert len(messages_of(database_url, rows)) == 2


def test_a_long_list_of_locks_is_cut_and_says_so() -> None:
    text = CAMPAIGN.message(Recipient("o", facts={"locks": [f"lock-{n}" for n in range(9)]}), LockBattery())
    assert text.body.count("lock-") == 5
    assert "…" in text.body


def test_the_ladder_waits_a_day_for_an_acknowledgement_or_a_click_on_each_rung() -> None:
    plan = CAMPAIGN.plan(LockBattery())
    assert [(rung.channel, rung.ttl_seconds) for rung in plan.ladder] == [("fcm", DAY), ("mqtt", DAY)]
    assert plan.awaits == set(Awaited)
    assert CAMPAIGN.schedule
    assert CAMPAIGN.schedule.cron == "0 9 * * MON"


def test_what_became_of_a_lock_is_read_a_week_after_its_hand_over_and_nobody_is_held_out() -> None:
    plan = CAMPAIGN.plan(LockBattery())
    assert (plan.measured_for_seconds, plan.holdout_percent) == (7 * DAY, 0)
    changed = CAMPAIGN.plan(LockBattery(effectiveness_window_days=0.5, holdout_percent=10))
    assert (changed.measured_for_seconds, changed.holdout_percent) == (DAY / 2, 10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("holdout_percent", value) for value in (100, 150, -1, math.nan, math.inf)),
        *(("effectiveness_window_days", value) for value in (0, -7, 366, math.nan, math.inf)),
    ],
)
def test_a_window_of_nothing_and_a_holdout_of_all_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValidationError) as refused:
        LockBattery.model_validate({name: value})
    assert [problem["loc"] for problem in refused.value.errors()] == [(name,)]


class ReadAgain:
    """Locks of which one was checked, one never, one says nonsense, and the last is gone."""

    def last_checks(self, lock_ids: Collection[str]) -> Mapping[str, LastCheck]:
        known = {"checked": LastCheck(Standing.CHECKED, AT), "never": NEVER_CHECKED, "nonsense": UNREADABLE}
        return {lock_id: known[lock_id] for lock_id in lock_ids if lock_id in known}


def test_a_lock_that_is_read_again_says_when_it_was_checked_or_that_it_cannot_be_read_or_nothing() -> None:
    assert CAMPAIGN.read_again
    assert CAMPAIGN.read_again(ReadAgain(), ["checked", "never", "nonsense", "gone"]) == {
        "checked": Reading(AT),
        "never": Reading(),
        "nonsense": Reading(readable=False),
    }

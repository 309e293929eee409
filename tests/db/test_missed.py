"""Missed runs, written down and listed."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from db.engine import transaction
from db.missed import count_missed, forget_missed, list_missed, note_missed
from db.tables import MissedRun
from tests.db.scene import Scene

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def note(scene: Scene, *missed: tuple[str, int]) -> None:
    with transaction(scene.engine) as session:
        for campaign, weeks in missed:
            note_missed(session, campaign, MONDAY + timedelta(weeks=weeks), f"{campaign} {weeks}")


def test_they_are_listed_by_their_planned_time_the_latest_first_and_in_pages(scene: Scene) -> None:
    note(scene, ("a", 0), ("b", 0), ("a", 2), ("a", 1))
    with transaction(scene.engine) as session:
        everything = list_missed(session)
        first = list_missed(session, limit=3)
        rest = list_missed(session, before=(first[-1].planned_at, first[-1].campaign))
        of_a = list_missed(session, "a")
    assert [each.reason for each in everything] == ["a 2", "a 1", "b 0", "a 0"]
    assert [*first, *rest] == everything
    assert [each.reason for each in of_a] == ["a 2", "a 1", "a 0"]


def test_what_was_said_first_stays(scene: Scene) -> None:
    note(scene, ("a", 0))
    with transaction(scene.engine) as session:
        note_missed(session, "a", MONDAY, "another reason")
        assert [each.reason for each in list_missed(session)] == ["a 0"]


def test_one_that_is_run_after_all_is_missed_no_more(scene: Scene) -> None:
    note(scene, ("a", 0), ("b", 0))
    with transaction(scene.engine) as session:
        forget_missed(session, "a", MONDAY)
        assert [each.campaign for each in list_missed(session)] == ["b"]


def test_only_the_new_ones_are_counted(scene: Scene) -> None:
    note(scene, ("a", 0), ("b", 0))
    with transaction(scene.engine) as session:
        old = datetime.now(UTC) - timedelta(days=8)
        session.execute(update(MissedRun).where(MissedRun.campaign == "a").values(noted_at=old))
        assert count_missed(session, timedelta(days=7)) == 1

"""The snapshot as an activity: page by page, resumed from the bookmarks of a worker that died."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.audience import AudienceSnapshot, Progress
from campaigns.registry import Registry
from db.tables import AudienceRow, Message
from domain.message import AudiencePage, Scan
from domain.states import RunState
from tests.db.scene import Scene
from tests.fakes import People, a_person, a_probe


class Killed(BaseException):
    """As a kill: nothing of ours runs after it."""


class Pages(People):
    """These, whatever is asked."""

    def __init__(self, pages: list[AudiencePage]) -> None:
        super().__init__([])
        self._pages = pages

    def pages(self, scan: Scan) -> Iterator[AudiencePage]:
        yield from self._pages


class PeopleThatMustBeLeft(People):
    left = False

    def pages(self, scan: Scan) -> Iterator[AudiencePage]:
        try:
            yield from super().pages(scan)
        finally:
            self.left = True


class PeopleThatDie(People):
    """The worker dies when the third page is asked for."""

    def pages(self, scan: Scan) -> Iterator[AudiencePage]:
        for number, page in enumerate(super().pages(scan), start=1):
            if number == 3:
                raise Killed
            yield page


def take(scene: Scene, source: People | None, run_id: UUID, resumed: Progress | None = None) -> list[Progress]:
    """What it heartbeats."""
    beats: list[Progress] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    if resumed:
        environment.info = replace(environment.info, heartbeat_details=[resumed.model_dump(mode="json")])
    sources: dict[str, Any] = {"people": source} if source else {}
    snapshot = AudienceSnapshot(scene.engine, Registry({"probe": a_probe()}), sources)
    with suppress(Killed):
        environment.run(snapshot.take_audience_snapshot, run_id)
    return beats


def test_a_snapshot_targets_everybody_and_lets_the_run_go(scene: Scene) -> None:
    run_id = scene.queued()
    take(scene, People([a_person(number) for number in range(120)]), run_id)
    run = scene.run(run_id)
    assert (run.state, run.targeted, run.left_out) == (RunState.RUNNING, 120, {"seen": 3})
    assert scene.proof(run_id).balanced


def test_the_source_is_asked_as_of_the_runs_start(scene: Scene) -> None:
    run_id = scene.queued()
    people = People([a_person(0)])
    take(scene, people, run_id)
    assert [scan.as_of for scan in people.scans] == [scene.run(run_id).started_at]


def test_a_retry_takes_up_where_the_dead_worker_had_stopped_and_counts_nothing_twice(scene: Scene) -> None:
    everybody = [a_person(number) for number in range(230)]
    run_id = scene.queued()
    beats = take(scene, PeopleThatDie(everybody), run_id)
    assert beats[-1] == Progress(bookmarks={"0": "100"}, left_out={"seen": 2})
    assert (len(scene.stored(AudienceRow)), scene.stored(Message)) == (100, [])
    retried = People(everybody)
    take(scene, retried, run_id, resumed=beats[-1])
    assert retried.scans[0].bookmarks == {"0": "100"}
    run = scene.run(run_id)
    assert (run.targeted, run.left_out) == (230, {"seen": 5})
    assert scene.proof(run_id).balanced


def test_a_retry_that_remembers_nothing_reads_all_again_and_adds_nobody_twice(scene: Scene) -> None:
    everybody = [a_person(number) for number in range(120)]
    run_id = scene.queued()
    take(scene, PeopleThatDie(everybody), run_id)
    take(scene, People(everybody), run_id)
    assert scene.run(run_id).targeted == 120


def test_who_turns_up_after_the_first_message_was_made_comes_too_late(scene: Scene) -> None:
    """The last heartbeat may be older than the last page: a retry reads some pages again, and they may have changed."""
    everybody = [a_person(number) for number in range(120)]
    run_id = scene.queued()
    beats = take(scene, People(everybody), run_id)
    scene.set(run_id, targeted=None, state=RunState.QUEUED)  # as if it had been killed before it was closed
    newcomers = [a_person(number) for number in range(120, 150)]
    take(scene, People([*everybody, *newcomers]), run_id, resumed=beats[0])
    assert scene.run(run_id).targeted == 120
    assert len(scene.stored(AudienceRow)) == 120


def test_a_source_is_closed_before_the_snapshot_fails(scene: Scene) -> None:
    """Its threads and connections would else end whenever the error is forgotten, in a thread that must not wait."""
    source = PeopleThatMustBeLeft([replace(a_person(0), id="zero\0byte")])
    with pytest.raises(DataError):
        take(scene, source, scene.queued())
    assert source.left


def test_a_heartbeat_carries_places_and_counts_and_nobodys_name(scene: Scene) -> None:
    beats = take(scene, People([a_person(number) for number in range(60)]), scene.queued())
    assert beats
    assert "person" not in "".join(beat.model_dump_json() for beat in beats)


def test_pages_with_nobody_on_them_are_heartbeats_all_the_same(scene: Scene) -> None:
    """A table of fresh locks, or a source that waits: without a heartbeat the snapshot would count as dead."""
    fresh = [AudiencePage((), {"fresh": 500}, {}, ("0/1", str(number))) for number in range(3)]
    waiting = AudiencePage(())
    beats = take(scene, Pages([*fresh, waiting, AudiencePage((), {}, {}, ("0/1", ""))]), scene.queued())
    fourth = Progress(bookmarks={"0/1": "2"}, left_out={"fresh": 1500})
    assert beats[2:5] == [fourth, fourth, fourth.model_copy(update={"bookmarks": {"0/1": ""}})]


def test_one_person_with_rows_on_different_pages_gets_one_message(scene: Scene) -> None:
    rows = [a_person(number % 40, subject=f"lock-{number}") for number in range(120)]
    run_id = scene.queued()
    take(scene, People(rows), run_id)
    assert scene.run(run_id).targeted == 40


def test_a_source_that_is_off_fails_for_good_and_names_itself(scene: Scene) -> None:
    with pytest.raises(ApplicationError, match="'people' is off") as raised:
        take(scene, None, scene.queued())
    assert raised.value.non_retryable


def test_a_table_that_is_not_there_fails_for_good_with_the_sources_words(scene: Scene) -> None:
    people = People([a_person(0)], failure="there is no table `locks`")
    with pytest.raises(ApplicationError, match="there is no table `locks`") as raised:
        take(scene, people, scene.queued())
    assert raised.value.non_retryable


def test_a_snapshot_is_taken_once_whoever_asks_again(scene: Scene) -> None:
    """A retry that was not needed, or a slot whose workflow Temporal has forgotten: the audience stays as it was."""
    run_id = scene.queued()
    take(scene, People([a_person(0)]), run_id)
    again = People([a_person(0), a_person(1)])
    take(scene, again, run_id)
    assert again.scans == []
    assert scene.run(run_id).targeted == 1
    assert scene.proof(run_id).balanced


def test_the_planner_knows_of_a_new_runs_rows_before_they_are_read_page_by_page(scene: Scene) -> None:
    """Left to the statistics of earlier runs it would read the whole run for every page of recipients."""
    take(scene, People([a_person(number, subject=f"lock-{number}") for number in range(120)]), scene.queued())
    with scene.engine.connect() as connection:
        known = text("select relname, reltuples from pg_class where relname in ('audience', 'messages')")
        assert dict(connection.execute(known).all()) == {"audience": 120, "messages": 120}

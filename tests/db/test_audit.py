"""The audit log: written once, read in pages, changed by nobody."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import control
from db.api_keys import Scope, create_key
from db.audit import AuditView, list_audit, write_audit
from db.engine import transaction
from db.tables import AuditEntry
from tests.db.scene import Scene


@pytest.fixture
def run_id(scene: Scene) -> UUID:
    run_id = scene.queued(slot="monday")
    with transaction(scene.engine) as session:
        key_id = create_key(session, "night shift", [Scope.OPERATE]).split("_")[1]
    control.pause(scene.engine, run_id, key_id)
    control.resume(scene.engine, run_id, "cli:ada")
    control.pause(scene.engine, scene.queued(), "cli:ida", "restored_database")
    return run_id


def read(scene: Scene, limit: int = 100, **wanted: object) -> list[AuditView]:
    with transaction(scene.engine) as session:
        return list_audit(session, limit, **wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        "update drumbeat.audit_log set actor = 'nobody'",
        "update drumbeat.audit_log set actor = 'nobody' where id = -1",
        "delete from drumbeat.audit_log",
        "truncate drumbeat.audit_log",
        "truncate drumbeat.audit_log cascade",
    ],
)
def test_the_database_refuses_to_change_it(scene: Scene, run_id: UUID, change: str) -> None:
    before = [(entry.id, entry.actor) for entry in scene.stored(AuditEntry)]
    with pytest.raises(DBAPIError, match="append-only"), scene.engine.begin() as connection:
        connection.execute(text(change))
    assert [(entry.id, entry.actor) for entry in scene.stored(AuditEntry)] == before


def test_the_newest_stands_first_with_who_and_what_in_words(scene: Scene, run_id: UUID) -> None:
    last, resumed, paused = read(scene)

    assert (last.actor, last.sentence) == ("cli:ida", "paused the run: restored database")
    assert resumed.sentence.startswith("resumed the run after ")
    assert (paused.actor_name, paused.sentence, paused.run) == ("night shift", "paused the run", "probe-monday")
    assert paused.details == {"reason": "operator"}


def test_it_is_read_by_run_by_actor_by_action_and_in_pages(scene: Scene, run_id: UUID) -> None:
    everything = read(scene)

    assert {entry.action for entry in read(scene, run_id=run_id)} == {"pause", "resume"}
    assert [entry.actor for entry in read(scene, actor="cli:ada")] == ["cli:ada"]
    assert len(read(scene, action="pause")) == 2
    assert read(scene, 2) + read(scene, 2, before=everything[1].id) == everything


def test_an_entry_of_a_run_that_is_gone_is_still_shown(scene: Scene) -> None:
    with transaction(scene.engine) as session:
        write_audit(session, "cli:ada", "pause", UUID(int=7), reason="operator")
    [entry] = read(scene)
    assert (entry.run_id, entry.run) == (UUID(int=7), None)

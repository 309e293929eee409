"""`drumbeat unknown` and `drumbeat judge`."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from tests.console.terminal import Terminal
from tests.db.scene import UNKNOWN, Scene, a_plan
from tests.fakes import a_person


@pytest.fixture
def scene(engine: Engine) -> Scene:
    return Scene(engine)


@pytest.fixture
def run_id(scene: Scene) -> UUID:
    """Of three messages that have all ended as unknown."""
    run_id = scene.opened(*(a_person(number) for number in range(3)), plan=a_plan(retries_unknown=False))
    for message_id in scene.ids(run_id):
        scene.send(message_id, outcome=UNKNOWN)
    return run_id


def test_the_unknown_are_shown_with_what_speaks_for_and_against(drumbeat: Terminal, run_id: UUID, scene: Scene) -> None:
    said = drumbeat("unknown", str(run_id), "--limit", "2")
    assert said.code == 0
    shown = [str(message_id) for message_id in scene.ids(run_id) if str(message_id) in said.out]
    assert len(shown) == 2
    for words in ("try 1 by fcm at", "unknown  cut: the connection broke", "no report of fcm was imported", "--limit"):
        assert words in said.out


def test_one_message_is_judged(drumbeat: Terminal, run_id: UUID, scene: Scene) -> None:
    message_id = scene.ids(run_id)[0]
    said = drumbeat("judge", str(run_id), str(message_id), "was_sent")
    assert (said.code, said.out) == (0, "1 message is counted as sent.\n")
    assert scene.message(message_id).state == "sent"
    again = drumbeat("judge", str(run_id), str(message_id), "retry")
    assert again.code == 1
    assert "is sent: a verdict is given on one that ended as unknown" in again.err


def test_all_are_judged_at_once(
    drumbeat: Terminal, run_id: UUID, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.unknown._PAGE", 2)
    said = drumbeat("judge", str(run_id), "retry", "--all", "--channel", "fcm")
    assert said.code == 0
    assert said.out.endswith("3 messages are sent again.\n")
    assert {scene.message(message_id).state for message_id in scene.ids(run_id)} == {"planned"}
    assert drumbeat("unknown", str(run_id)).out == "No message of this run is unknown.\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("retry",), "give a message and a verdict, or a verdict and --all"),
        (("x", "retry", "--all"), "give the verdict alone"),
        ((str(uuid4()), "lost"), "'lost' is none of: was_sent, retry"),
    ],
)
def test_a_verdict_that_is_none_is_refused(
    drumbeat: Terminal, run_id: UUID, scene: Scene, words: tuple[str, ...], problem: str
) -> None:
    said = drumbeat("judge", str(run_id), *words)
    assert said.code == 2
    assert problem in said.err
    assert {scene.message(message_id).state for message_id in scene.ids(run_id)} == {"unknown"}


def test_a_message_that_is_none_is_refused(drumbeat: Terminal, run_id: UUID) -> None:
    said = drumbeat("judge", str(run_id), "[/]", "retry")
    assert said.code == 1
    assert "there is no message '[/]' in this run" in said.err

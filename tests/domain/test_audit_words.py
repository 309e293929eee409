"""The audit log in sentences; nothing that was written is lost where no sentence knows it."""

import pytest

from domain.audit_words import actor_words, sentence

HASH = "0123456789ab" + "c" * 52


@pytest.mark.parametrize(
    ("action", "details", "said"),
    [
        ("start", {"campaign": "x", "limit": None}, "started the run"),
        ("start", {"campaign": "x", "limit": 50}, "started the run, the first 50 only"),
        ("start", {"campaign": "x", "limit": 5, "bypass": True}, "started the run, the first 5 only, bypass True"),
        ("bypass_frequency_caps", {"campaign": "x"}, "let the run bypass people's frequency caps"),
        ("pause", {"reason": "operator"}, "paused the run"),
        ("pause", {"reason": "restored_database"}, "paused the run: restored database"),
        (
            "pause",
            {"reason": "halted: 34 % of 50 have failed (HALT_FAILURE_PERCENT 20)", "was_at": None},
            "paused the run: halted: 34 % of 50 have failed (HALT_FAILURE_PERCENT 20)",
        ),
        ("approve", {"targeted": 7000}, "approved the run: 7000 messages"),
        ("report", {"channel": "fcm", "messages": 1}, "imported the report of fcm: 1 message"),
        (
            "resume",
            {"policy": "shift", "paused_seconds": 90.2, "ended": 0},
            "resumed the run after 90 s; deadlines moved",
        ),
        (
            "resume",
            {"policy": "expire_overdue", "paused_seconds": 7200},
            "resumed the run after 2 h; what was overdue ended",
        ),
        ("cancel", {"withdrawn": 3}, "cancelled the run: 3 messages withdrawn"),
        ("release", {"up_to": None}, "released everybody"),
        ("release", {"up_to": 9}, "released the first 9"),
        (
            "suppress",
            {"channel": "person", "address_hash": HASH, "reason": "operator"},
            "suppressed the person 0123456789ab…: operator",
        ),
        (
            "lift",
            {"channel": "fcm", "address_hash": HASH, "reason": "operator", "since": "2026-11-21T09:00:00Z"},
            "lifted the suppression of the fcm address 0123456789ab… (operator, since 2026-11-21)",
        ),
        (
            "import_suppressions",
            {"rows": 9, "added": 5, "refused": 2},
            "imported a suppression list: 5 of 9 added, 2 refused",
        ),
        (
            "consent",
            {"purpose": "offers", "channel": "*", "granted": False, "person": HASH},
            "withdrew consent to offers on all channels for the person 0123456789ab…",
        ),
        (
            "erase",
            {"person": HASH, "messages": 4, "ended": 1, "devices": 2},
            "erased the person 0123456789ab…: 4 messages, 2 devices",
        ),
        (
            "judge",
            {"verdict": "was_sent", "message_id": "5d0d57d2-0000-0000-0000-000000000000"},
            "judged message 5d0d57d2 as sent",
        ),
        ("report", {"channel": "fcm", "messages": 130}, "imported the report of fcm: 130 messages"),
        ("clear_report", {"channel": "fcm"}, "forgot the report of fcm"),
        ("a_new_one", {"what": 1, "nothing": None}, "a new one: what 1"),
        ("a_new_one", {}, "a new one"),
        ("cancel", {"written": "otherwise"}, "cancel: written otherwise"),
    ],
)
def test_each_entry_is_a_sentence(action: str, details: dict[str, object], said: str) -> None:
    assert sentence(action, details) == said


def test_an_actor_is_named_as_people_know_them() -> None:
    assert actor_words("ab12cd34", "night shift") == "key ab12cd34 (night shift)"
    assert actor_words("cli:ada") == "ada on the command line"
    assert actor_words("sweep") == "sweep"

"""The audit log in plain sentences."""

from collections.abc import Callable, Mapping
from typing import Any

Details = Mapping[str, Any]
_HASH_SHOWN = 12


def sentence(action: str, details: Details) -> str:
    """What was done; an action that is not known here is shown as it was written."""
    words = _SENTENCES.get(action)
    try:
        return words(details) if words else _as_written(action, details)
    except (KeyError, TypeError, ValueError):  # written by another version
        return _as_written(action, details)


def _as_written(action: str, details: Details) -> str:
    shown = ", ".join(f"{name} {value}" for name, value in details.items() if value is not None)
    return f"{action.replace('_', ' ')}: {shown}" if shown else action.replace("_", " ")


def _hash(details: Details, name: str) -> str:
    return f"{str(details[name])[:_HASH_SHOWN]}…"


def _start(details: Details) -> str:
    limit = details.get("limit")
    more = "" if limit is None else f", the first {limit} only"
    return f"started the run{more}{_rest(details, 'campaign', 'limit')}"


def _pause(details: Details) -> str:
    reason = details.get("reason")
    return "paused the run" if reason in {None, "operator"} else f"paused the run: {_spoken(reason)}"


def _spoken(reason: object) -> str:
    """A word of ours; a whole sentence stays as it is."""
    said = str(reason)
    return said if " " in said else said.replace("_", " ")


def _resume(details: Details) -> str:
    paused = f" after {_duration(details['paused_seconds'])}" if details.get("paused_seconds") is not None else ""
    policies = {"shift": "deadlines moved", "keep": "deadlines stood", "expire_overdue": "what was overdue ended"}
    policy = policies.get(str(details.get("policy")), "")
    because = details.get("reason")
    return f"resumed the run{paused}" + (f"; {policy}" if policy else "") + (f": {because}" if because else "")


def _release(details: Details) -> str:
    up_to = details.get("up_to")
    return "released everybody" if up_to is None else f"released the first {up_to}"


def _suppress(details: Details) -> str:
    return f"suppressed {_place(details)}: {details['reason']}"


def _lift(details: Details) -> str:
    return f"lifted the suppression of {_place(details)} ({details['reason']}, since {str(details['since'])[:10]})"


def _place(details: Details) -> str:
    whom = "the person" if details["channel"] == "person" else f"the {details['channel']} address"
    return f"{whom} {_hash(details, 'address_hash')}"


def _imported(details: Details) -> str:
    return f"imported a suppression list: {details['added']} of {details['rows']} added, {details['refused']} refused"


def _consent(details: Details) -> str:
    word = "granted" if details["granted"] else "withdrew"
    channel = "all channels" if details["channel"] == "*" else details["channel"]
    return f"{word} consent to {details['purpose']} on {channel} for the person {_hash(details, 'person')}"


def _erase(details: Details) -> str:
    counts = f"{_count(details['messages'], 'message')}, {_count(details['devices'], 'device')}"
    return f"erased the person {_hash(details, 'person')}: {counts}"


def _judge(details: Details) -> str:
    verdict = {"was_sent": "as sent", "retry": "to be tried again"}.get(
        str(details["verdict"]), str(details["verdict"])
    )
    return f"judged message {str(details['message_id'])[:8]} {verdict}"


def _rest(details: Details, *told: str) -> str:
    """Whatever else was written about it: no word of the log is kept from whoever reads it."""
    more = {name: value for name, value in details.items() if name not in told and value not in (None, False, {}, [])}
    return "".join(f", {name.replace('_', ' ')} {value}" for name, value in more.items())


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


_SENTENCES: Mapping[str, Callable[[Details], str]] = {
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "cancel": lambda details: f"cancelled the run: {_count(details['withdrawn'], 'message')} withdrawn",
    "release": _release,
    "bypass_frequency_caps": lambda details: f"let the run bypass people's frequency caps{_rest(details, 'campaign')}",
    "approve": lambda details: f"approved the run: {_count(details['targeted'], 'message')}",
    "suppress": _suppress,
    "lift": _lift,
    "import_suppressions": _imported,
    "consent": _consent,
    "erase": _erase,
    "judge": _judge,
    "report": lambda details: f"imported the report of {details['channel']}: {_count(details['messages'], 'message')}",
    "clear_report": lambda details: f"forgot the report of {details['channel']}",
}


def actor_words(actor: str, key_name: str | None = None) -> str:
    """Who it was, for people to read."""
    if key_name is not None:
        return f"key {actor} ({key_name})"
    return f"{actor.removeprefix('cli:')} on the command line" if actor.startswith("cli:") else actor

"""What stands in place of a person's id after their erasure: it tells them apart from others, and names nobody."""

import re

_ERASED = re.compile(r"erased:([0-9a-f]{64})")


def tombstone(hashed: str) -> str:
    """In place of an id; `hashed` is a keyed hash of it."""
    return f"erased:{hashed}"


def hash_in(name: str | None) -> str | None:
    """The keyed hash, where `name` is a tombstone."""
    found = _ERASED.fullmatch(name or "")
    return found[1] if found else None

"""Addresses as they may be shown."""

_SHOWN = 4


def mask(address: str) -> str:
    """The last characters, and only where the rest is longer."""
    return f"…{address[-_SHOWN:]}" if len(address) > 2 * _SHOWN else "…"

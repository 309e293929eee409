"""The words of a consent: what for, and on which channel."""

import re

from domain.addresses import CHANNELS
from domain.problems import ProblemError

ALL_CHANNELS = "*"
_PURPOSE = re.compile(r"[a-z][a-z0-9_]{0,39}")


class BadConsentError(ProblemError):
    """The text names the field and the remedy."""


def checked_purpose(purpose: str) -> str:
    """Raises BadConsentError."""
    if not _PURPOSE.fullmatch(purpose):
        raise BadConsentError(
            "purpose: use the word of the campaigns' `consent` rule: small letters, digits and _, at most 40"
        )
    return purpose


def checked_consent_channel(channel: str) -> str:
    """Raises BadConsentError."""
    if channel not in (ALL_CHANNELS, *CHANNELS):
        there_are = ", ".join(CHANNELS)
        raise BadConsentError(f"channel: {channel[:40]!r} is none; use one of {there_are}, or {ALL_CHANNELS} for all")
    return channel

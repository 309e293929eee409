"""The words of a consent: what for, and on which channel."""

import re

from domain.addresses import checked_channel
from domain.persons import PERSON
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
    """Raises BadAddressError and BadConsentError."""
    if channel == PERSON:
        raise BadConsentError(f"channel: a consent is for one channel, or for all of them ({ALL_CHANNELS})")
    return channel if channel == ALL_CHANNELS else checked_channel(channel)

"""What an address looks like on each channel, and the one spelling by which lists know it."""

import re
import unicodedata

from domain.persons import PERSON
from domain.problems import ProblemError

CHANNELS = ("fcm", "apns", "mqtt", "email", "sms")
"""That may stand in a list, also while they are off."""
LONGEST = 4096
LONGEST_ID = 255

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_SET_APART = str.maketrans("", "", " \t\u00a0\u202f-().\u2011/")
"""What people write between the digits of a telephone number."""


class BadAddressError(ProblemError):
    """The text names the field and the remedy, and never the address."""


def normalised(channel: str, address: str) -> str:
    """One spelling for all that reach the same mailbox or telephone.

    E-mail: RFC 5321 leaves the case of the local part to the receiving host, and no known one tells people apart by
    it; so all of it is lower case. SMS: E.164, without what is written between the digits, `00` as `+`. All others
    are taken as they are, since each letter counts. A list's hashes hang on this: it must never change.
    """
    if channel == "email":
        return unicodedata.normalize("NFC", address.strip()).lower()
    if channel == "sms":
        digits = address.translate(_SET_APART)
        return f"+{digits[2:]}" if digits.startswith("00") else digits
    return address


def checked_channel(channel: str) -> str:
    """Raises BadAddressError."""
    if channel not in (*CHANNELS, PERSON):
        there_are = ", ".join((*CHANNELS, PERSON))
        raise BadAddressError(f"channel: there is no channel {channel[:40]!r}; use one of {there_are}")
    return channel


def checked(channel: str, address: str) -> str:
    """The address in its one spelling. Raises BadAddressError."""
    if checked_channel(channel) == PERSON:
        return checked_person(address)
    spelled = _checked_text("address", normalised(channel, address.strip()), LONGEST)
    if channel == "email" and not _is_mailbox(spelled):
        raise BadAddressError("address: it is not of the form name@host.example")
    if channel == "sms" and not _PHONE.fullmatch(spelled):
        raise BadAddressError("address: it is not an international number; begin with + and the country's digits")
    return spelled


def checked_person(person: str) -> str:
    """A person's key, as the campaigns' sources give it. Raises BadAddressError."""
    return _checked_text("person", person, LONGEST_ID)


def _checked_text(field: str, text: str, longest: int) -> str:
    if not text.strip():
        raise BadAddressError(f"{field}: it is empty; give one")
    if len(text) > longest:
        raise BadAddressError(f"{field}: it is longer than {longest} characters")
    if not all(letter.isprintable() for letter in text):
        raise BadAddressError(f"{field}: it has characters that cannot be printed; give it as it is written")
    return text


def _is_mailbox(address: str) -> bool:
    local, at, host = address.rpartition("@")
    return bool(local and at and host) and " " not in host and not host.startswith(".") and not host.endswith(".")

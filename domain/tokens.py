"""Signed words that travel outside: the link of a message, and the proof that a device holds an attempt."""

import base64
import binascii
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Self
from uuid import UUID

KEY_BYTES = 32
"""The least that a secret may have."""
CLICK_TOKEN_LENGTH = 51

_VERSION = 1
_MAC_BYTES = 16  # half of SHA-256, the least that RFC 2104 allows, and short enough for an SMS
_CLICK = struct.Struct(">BB16sI")  # version, key id, message id, expiry in epoch seconds
_UNSUBSCRIBE = struct.Struct(">BB16s")  # version, key id, message id
_CLICK_PURPOSE = b"drumbeat click link"
_UNSUBSCRIBE_PURPOSE = b"drumbeat unsubscribe link"
_ACK_PURPOSE = b"drumbeat acknowledgement"
_ID_PURPOSE = b"drumbeat key id"
_LATEST = 2**32 - 1
_KEY_IDS = range(256)


class TokenForgedError(Exception):
    """Not a token of ours: damaged, made up, signed with a key that is gone, or meant for something else."""


class TokenExpiredError(Exception):
    """A token of ours, past its time."""

    def __init__(self, message_id: UUID, expired_at: int) -> None:
        super().__init__(f"the link of message {message_id} expired at {expired_at} (epoch seconds)")
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with the key `current`; reads what any of `keys` has signed, so that a key can be replaced."""

    keys: Mapping[int, bytes] = field(repr=False)
    """Secrets by key id, 0 to 255."""
    current: int

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise ValueError(f"the current signing key {self.current} is not among the keys {sorted(self.keys)}")
        for key_id, secret in self.keys.items():
            if key_id not in _KEY_IDS:
                raise ValueError(f"signing key id {key_id} is not between 0 and 255")
            if len(secret) < KEY_BYTES:
                raise ValueError(f"signing key {key_id} has less than {KEY_BYTES} bytes: set a longer one")

    @classmethod
    def of_secrets(cls, current: bytes, *previous: bytes) -> Self:
        """A secret's id is made of itself, so that it stays the same when the secret becomes a previous one."""
        keys = {_key_id(secret): secret for secret in (*previous, current)}
        if len(keys) != 1 + len(previous):
            raise ValueError("two signing secrets have the same key id: make another one")
        return cls(keys, _key_id(current))

    def click_token(self, message_id: UUID, expires_at: datetime) -> str:
        """51 characters that are safe in a path; the time is rounded down to the second."""
        expiry = min(int(expires_at.timestamp()), _LATEST)
        signed = _CLICK.pack(_VERSION, self.current, message_id.bytes, expiry)
        return _encode(signed + self._mac(self.current, _CLICK_PURPOSE, signed))

    def read_click_token(self, token: str, now: datetime) -> UUID:
        """The id of the message whose link it is. Raises TokenForgedError and TokenExpiredError."""
        raw = _decode(token, _CLICK.size + _MAC_BYTES)
        signed, mac = raw[: _CLICK.size], raw[_CLICK.size :]
        version, key_id, message_id, expiry = _CLICK.unpack(signed)
        self._check(key_id, _CLICK_PURPOSE, signed, mac)
        if version != _VERSION:
            raise TokenForgedError(f"version {version} of a link is not known")
        if now.timestamp() >= expiry:
            raise TokenExpiredError(UUID(bytes=message_id), expiry)
        return UUID(bytes=message_id)

    def unsubscribe_token(self, message_id: UUID) -> str:
        """46 characters that are safe in a path. They do not expire: a person may say no at any time."""
        signed = _UNSUBSCRIBE.pack(_VERSION, self.current, message_id.bytes)
        return _encode(signed + self._mac(self.current, _UNSUBSCRIBE_PURPOSE, signed))

    def read_unsubscribe_token(self, token: str) -> UUID:
        """The id of the message that it came with. Raises TokenForgedError."""
        raw = _decode(token, _UNSUBSCRIBE.size + _MAC_BYTES)
        signed, mac = raw[: _UNSUBSCRIBE.size], raw[_UNSUBSCRIBE.size :]
        version, key_id, message_id = _UNSUBSCRIBE.unpack(signed)
        self._check(key_id, _UNSUBSCRIBE_PURPOSE, signed, mac)
        if version != _VERSION:
            raise TokenForgedError(f"version {version} of a link is not known")
        return UUID(bytes=message_id)

    def ack_token(self, attempt_id: UUID) -> str:
        """23 characters that travel inside the push. They do not expire: an acknowledgement may come late."""
        mac = self._mac(self.current, _ACK_PURPOSE, b"ack|" + attempt_id.bytes)
        return _encode(bytes([self.current]) + mac)

    def check_ack_token(self, token: str, attempt_id: UUID) -> None:
        """Raises TokenForgedError where it is not this attempt's."""
        raw = _decode(token, 1 + _MAC_BYTES)
        self._check(raw[0], _ACK_PURPOSE, b"ack|" + attempt_id.bytes, raw[1:])

    def _check(self, key_id: int, purpose: bytes, signed: bytes, mac: bytes) -> None:
        if key_id not in self.keys or not hmac.compare_digest(mac, self._mac(key_id, purpose, signed)):
            raise TokenForgedError("the signature is not ours")

    def _mac(self, key_id: int, purpose: bytes, signed: bytes) -> bytes:
        """A key of its own for each purpose: what signs an acknowledgement can never sign a link."""
        own_key = hmac.digest(self.keys[key_id], purpose, sha256)
        return hmac.digest(own_key, signed, sha256)[:_MAC_BYTES]


def _key_id(secret: bytes) -> int:
    return hmac.digest(secret, _ID_PURPOSE, sha256)[0]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(token: str, size: int) -> bytes:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenForgedError("it is not base64url") from error
    # Unused bits of the last character would give one token several spellings.
    if len(raw) != size or _encode(raw) != token:
        raise TokenForgedError("it has the wrong length or spelling")
    return raw

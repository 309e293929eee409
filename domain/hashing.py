"""Addresses in lists that outlive the person: a keyed hash, so that the list itself gives nobody away."""

import hashlib
import hmac
from dataclasses import dataclass, field

KEY_BYTES = 32
"""The least that a key may have."""


@dataclass(frozen=True, slots=True)
class AddressHasher:
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ValueError(
                f"ADDRESS_HASH_KEY has less than {KEY_BYTES} bytes: set it to a longer one, once and for all"
            )

    def __call__(self, channel: str, address: str) -> str:
        return hmac.new(self.key, f"{channel}\0{address}".encode(), hashlib.sha256).hexdigest()

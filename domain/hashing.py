"""Addresses in lists that outlive the person: a keyed hash, so that the list itself gives nobody away."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field

from domain.addresses import normalised

KEY_BYTES = 32
"""The least that a key may have."""
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class AddressHasher:
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ValueError(
                f"ADDRESS_HASH_KEY has less than {KEY_BYTES} bytes: set it to a longer one, once and for all"
            )

    def __call__(self, channel: str, address: str) -> str:
        """The same for all spellings of one address; under the channel `person` it is a person's key."""
        return self._hash(f"{channel}\0{normalised(channel, address)}")

    @property
    def key_id(self) -> str:
        """Tells lists apart that were hashed with other keys, and says nothing of the key."""
        return self._hash("\0key id")[:8]

    def _hash(self, text: str) -> str:
        # Half characters, which JSON can carry, are hashed like all others.
        return hmac.new(self.key, text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()

"""Keys to our API. Only a hash of the secret is kept: 256 random bits need no slow one."""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import func, insert, or_, select
from sqlalchemy.orm import Session

from db.tables import ApiKey

_PREFIX = "drum"
_PARTS = 3


class Scope(StrEnum):
    VIEW = "view"
    OPERATE = "operate"
    """Start, pause, resume, cancel, release."""
    APPROVE = "approve"
    """Let a large run go that somebody else has started."""
    BYPASS = "bypass"
    """Start a run past people's frequency caps."""
    PEOPLE = "people"
    """See and change what is known of one person: why, suppressions, consents, erasure."""
    ACK = "ack"
    """Acknowledge any attempt, without its own token."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    id: str
    name: str
    scopes: frozenset[str]


def create_key(session: Session, name: str, scopes: Collection[Scope], expires_at: datetime | None = None) -> str:
    """A new key, as `drum_<id>_<secret>`. It is shown this once: nobody can read it again."""
    if not scopes:
        raise ValueError(f"a key without a scope opens nothing: give it some of {', '.join(Scope)}")
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    session.execute(
        insert(ApiKey).values(
            id=key_id,
            name=name,
            secret_sha256=_hash(secret),
            scopes=sorted(scopes),
            expires_at=expires_at,
        )
    )
    return f"{_PREFIX}_{key_id}_{secret}"


def find_key(session: Session, text: str) -> KnownKey | None:
    """None: not a key of ours, or one that has expired."""
    parts = text.split("_", _PARTS - 1)
    if len(parts) != _PARTS or parts[0] != _PREFIX or not text.isascii() or not text.isprintable():
        return None
    unexpired = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp())
    key = session.scalar(select(ApiKey).where(ApiKey.id == parts[1], unexpired))
    if key is None or not hmac.compare_digest(key.secret_sha256, _hash(parts[2])):
        return None
    return KnownKey(key.id, key.name, frozenset(key.scopes))


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()

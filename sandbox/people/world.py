"""An invented world: locks, their owners with phones and devices, and what a campaign must find in it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

Value = str | Decimal | bool | dict[str, str] | list[str] | None
"""Of the last-check attribute; None: the item has none."""


class Age(StrEnum):
    """What a lock's last check is made to be."""

    FRESH = "fresh"
    OLD = "old"
    NEVER_CHECKED = "never_checked"
    UNREADABLE = "unreadable"


class Phone(StrEnum):
    """What becomes of a push to somebody's phone."""

    ORDINARY = "ordinary"
    SLOW = "slow"
    REPLACED = "replaced"
    """Two tokens, of which the first is dead."""
    GONE = "gone"
    """One token, which is dead."""
    NONE = "none"
    """No token at all."""


class Behaviour(StrEnum):
    """How a device of ours takes a message; ordinary phones never acknowledge."""

    PROMPT = "prompt"
    SLOW = "slow"
    LATE = "late"
    TWICE = "twice"
    NEVER = "never"
    DEAF_TO_FCM = "deaf_to_fcm"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class InventedLock:
    id: str
    age: Age
    last_check: Value

    @property
    def stale(self) -> bool:
        return self.age is not Age.FRESH


@dataclass(frozen=True, slots=True)
class InventedDevice:
    """Its id is its MQTT client id too."""

    id: str
    owner_id: str
    fcm_token: str | None
    behaviour: Behaviour

    @property
    def mqtt_client_id(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    phone: Phone
    tokens: tuple[str, ...]
    """In the words of the simulator of FCM, and in the order in which they are tried."""
    device: InventedDevice | None


@dataclass(frozen=True, slots=True)
class Mapped:
    """One row of the customer's table `lock_user_mapping`."""

    lock_id: str
    user_id: str
    fcm_id: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the campaign on stale locks must find."""

    fresh: int
    unmapped: int
    """Stale locks without an owner."""
    never_checked: int
    unreadable: int
    without_token: int
    """Pairs of a stale lock and an owner who has no token."""
    targeted: int
    """People with a stale lock."""
    stale_mapped: int
    """Stale locks that have an owner."""
    phones: Mapping[Phone, int]
    """Of the targeted."""
    behaviours: Mapping[Behaviour, int]
    """Of the targeted who have a device of ours."""


@dataclass(frozen=True)
class World:
    locks: tuple[InventedLock, ...]
    owners: Mapping[str, tuple[Person, ...]]
    """By lock that has any."""

    @cached_property
    def people(self) -> tuple[Person, ...]:
        return tuple({person.id: person for owners in self.owners.values() for person in owners}.values())

    @cached_property
    def targeted(self) -> tuple[Person, ...]:
        stale = (lock for lock in self.locks if lock.stale)
        return tuple({person.id: person for lock in stale for person in self.owners.get(lock.id, ())}.values())

    @cached_property
    def mappings(self) -> tuple[Mapped, ...]:
        return tuple(
            Mapped(lock_id, person.id, token)
            for lock_id, owners in self.owners.items()
            for person in owners
            for token in person.tokens or (None,)
        )

    @cached_property
    def devices(self) -> tuple[InventedDevice, ...]:
        return tuple(person.device for person in self.people if person.device)

    @cached_property
    def expected(self) -> Expected:
        ages = Counter(lock.age for lock in self.locks)
        stale_owners = [self.owners.get(lock.id, ()) for lock in self.locks if lock.stale]
        return Expected(
            fresh=ages[Age.FRESH],
            unmapped=sum(not owners for owners in stale_owners),
            never_checked=ages[Age.NEVER_CHECKED],
            unreadable=ages[Age.UNREADABLE],
            without_token=sum(not person.tokens for owners in stale_owners for person in owners),
            targeted=len(self.targeted),
            stale_mapped=sum(bool(owners) for owners in stale_owners),
            phones=Counter(person.phone for person in self.targeted),
            behaviours=Counter(person.device.behaviour for person in self.targeted if person.device),
        )

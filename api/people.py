"""What is known of one person: why they did or did not get something, what they have said, and their erasure."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.keys import OfPeople
from api.paging import PageSize
from api.parts import PartsOf, RelayOf
from api.problems import problems
from api.relay import Relay, look_again
from db.consents import ConsentView, Word, note_consent
from db.engine import transaction
from db.erasure import erase
from db.people import PersonStory, story_of
from domain.consents import ALL_CHANNELS

router = APIRouter(prefix="/api/v1/people", tags=["People"], responses=problems(401, 403, 422, 503))

Person = Annotated[
    str, Path(description="The person's key, URL-encoded, as the campaigns' sources give it", examples=["user-4711"])
]


class ConsentOrder(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"examples": [{"purpose": "offers", "granted": False}]}
    )

    purpose: Annotated[str, Field(max_length=100)]
    """As the campaigns' `consent` rules name it."""
    granted: bool
    channel: Annotated[str, Field(max_length=40)] = ALL_CHANNELS
    """`*`: all that are not named themselves. A no to all takes back each yes to one."""


class NotedConsent(BaseModel):
    model_config = ConfigDict(frozen=True)

    consent: ConsentView
    already: bool
    """They had said so before."""


class ErasedPerson(BaseModel):
    model_config = ConfigDict(frozen=True)

    person_hash: str
    """As the audit log and the suppression list name them from now on."""
    messages: int
    """That became tombstones, so that each ledger still balances."""
    ended: int
    """Those of them that were under way."""
    devices: int
    """That have no owner any more."""


# The longer address first: an id may have a slash in it.
@router.put("/{person:path}/consents")
def consent(person: Person, order: ConsentOrder, parts: PartsOf, relay: RelayOf, actor: OfPeople) -> NotedConsent:
    """Note what a person says of a purpose. It holds from the answer on, also in runs under way."""
    word = Word(order.purpose, order.granted, order.channel)
    with transaction(parts.engine) as session:
        noted = note_consent(session, parts.hash_address, person, word, actor=actor)
    _call_up(relay, noted.waiting)
    return NotedConsent(consent=noted.consent, already=noted.already)


@router.get("/{person:path}", responses=problems(404))
def why(
    person: Person,
    parts: PartsOf,
    _: OfPeople,
    campaign: Annotated[str | None, Field(pattern="^[!-~]{1,100}$")] = None,
    limit: PageSize = 20,
) -> PersonStory:
    """All that was decided for this person, in order, in plain sentences: over the newest `limit` messages.

    Somebody of whom nothing is known is no error: `known` is false, and the sentences say where they were not in the
    audience.
    """
    if campaign is not None:
        campaign = parts.registry[campaign].name
    with transaction(parts.engine) as session:
        return story_of(session, parts.hash_address, person, campaign=campaign, limit=limit)


@router.delete("/{person:path}", responses=problems(409))
def forget(person: Person, parts: PartsOf, relay: RelayOf, actor: OfPeople) -> ErasedPerson:
    """Erase a person. Suppressions and consents stay, as hashes, and hold when the same person comes back.

    A send in flight is waited for, at most 16 s. May be repeated.
    """
    erased = erase(parts.engine, parts.hash_address, person, actor=actor)
    _call_up(relay, erased.ended)
    return ErasedPerson(
        person_hash=erased.person_hash,
        messages=erased.messages,
        ended=len(erased.ended),
        devices=erased.devices,
    )


def _call_up(relay: Relay, message_ids: list[UUID]) -> None:
    for message_id in message_ids:
        relay.put(look_again(message_id))

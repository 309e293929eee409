"""The ledger of a run: how it stands, and the proof that everybody targeted is in exactly one state."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from db.runs import get_run, plan_of
from db.sent import count_sent
from db.situation import attempt_facts, message_facts
from db.tables import Acknowledgement, Attempt, Click, Message
from domain.clicks import ClickClass
from domain.ladder import AttemptFacts, MessageFacts
from domain.plan import Plan
from domain.proof import Difference, difference
from domain.states import Awaited

_PAGE = 1000
_LISTED_AT_MOST = 100


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Progress(_View):
    states: dict[str, int]
    """Messages by state; an end and `sent` that is still awaited apart from each other in `awaiting`."""
    awaiting: int
    held: dict[str, int]
    """Unfinished messages by the reason why they do not move."""
    attempts: dict[str, dict[str, int]]
    """By channel, then by state."""
    clicks: dict[str, int]
    """Hits on links by class."""
    people_clicked: int
    """Messages with a click of a person."""
    handed_over: int
    """Messages that a provider accepted, whatever came later: the figure "sent"."""


class Proof(_View):
    balanced: bool
    targeted: int | None
    """As counted at the snapshot."""
    rows: int
    states: dict[str, int]
    unfinished: int
    differences: list[Difference]
    """The first of those messages whose state is not what their attempts and facts make of it."""
    different: int


def progress(session: Session, run_id: UUID) -> Progress:
    attempts: dict[str, dict[str, int]] = defaultdict(dict)
    by_channel = select(Attempt.channel, Attempt.state, func.count()).where(Attempt.run_id == run_id)
    for channel, state, count in session.execute(by_channel.group_by(Attempt.channel, Attempt.state)):
        attempts[channel][state] = count
    of_run = Message.run_id == run_id
    held = select(Message.hold_reason, func.count()).where(
        of_run, Message.hold_reason.is_not(None), Message.ended_at.is_(None)
    )
    clicks = select(Click.click_class, func.count()).where(Click.run_id == run_id).group_by(Click.click_class)
    return Progress(
        states=_states(session, run_id),
        awaiting=_count(session, of_run, Message.state == "sent", Message.ended_at.is_(None)),
        held=dict(session.execute(held.group_by(Message.hold_reason)).all()),
        attempts=dict(attempts),
        clicks=dict(session.execute(clicks).all()),
        people_clicked=_count(session, of_run, Message.clicked_at.is_not(None)),
        handed_over=count_sent(session, [run_id])[run_id],
    )


def prove(session: Session, run_id: UUID) -> Proof:
    """Hold the rows against the snapshot, and each message's state against what its attempts make of it."""
    targeted, plan = get_run(session, run_id).targeted, plan_of(session, run_id)
    different = [found for message in _messages(session, run_id, plan) if (found := difference(message))]
    states = _states(session, run_id)
    rows = sum(states.values())
    return Proof(
        balanced=rows == targeted and not different,
        targeted=targeted,
        rows=rows,
        states=states,
        unfinished=_count(session, Message.run_id == run_id, Message.ended_at.is_(None)),
        differences=different[:_LISTED_AT_MOST],
        different=len(different),
    )


def _messages(session: Session, run_id: UUID, plan: Plan) -> Iterator[MessageFacts]:
    """In pages, so that a run of millions is proven in flat memory."""
    after: UUID | None = None
    while True:
        page = _page(session, run_id, after)
        if not page:
            return
        yield from (message_facts(each.message, each.attempts, plan, each.answers) for each in page)
        after = page[-1].message.id
        session.expunge_all()


@dataclass(frozen=True, slots=True)
class _Row:
    message: Message
    attempts: tuple[AttemptFacts, ...]
    answers: frozenset[Awaited]
    """From the facts as they came, not from what they made of the message."""


def _page(session: Session, run_id: UUID, after: UUID | None) -> list[_Row]:
    """In one statement, which sees one moment: read apart, a record in between would look like a difference."""
    chosen = select(Message).where(Message.run_id == run_id).order_by(Message.id).limit(_PAGE)
    message = aliased(Message, (chosen.where(Message.id > after) if after else chosen).subquery())
    tried = aliased(Attempt)
    acknowledged = exists().where(Acknowledgement.attempt_id == tried.id, tried.message_id == message.id)
    clicked = exists().where(Click.message_id == message.id, Click.click_class == ClickClass.PERSON)
    joined = select(message, Attempt, acknowledged, clicked).outerjoin(Attempt, Attempt.message_id == message.id)
    rows = session.execute(joined.order_by(message.id, Attempt.number)).all()
    return [_row(list(group)) for _, group in groupby(rows, key=lambda row: row[0].id)]


def _row(joined: Sequence[Any]) -> _Row:
    message, _, acknowledged, clicked = joined[0]
    came = {Awaited.ACKNOWLEDGEMENT: acknowledged, Awaited.CLICK: clicked}
    attempts = tuple(attempt_facts(attempt) for _, attempt, *_ in joined if attempt)
    return _Row(message, attempts, frozenset(kind for kind, it_came in came.items() if it_came))


def _states(session: Session, run_id: UUID) -> dict[str, int]:
    query = select(Message.state, func.count()).where(Message.run_id == run_id).group_by(Message.state)
    return dict(session.execute(query).all())


def _count(session: Session, *conditions: object) -> int:
    return session.scalar(select(func.count()).select_from(Message).where(*conditions)) or 0  # type: ignore[arg-type]

"""The proof of a run: everybody targeted is in exactly one state, and it is the one that attempts and reports make."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine, exists, literal, select
from sqlalchemy.orm import Session, aliased

from db.engine import read_at_leisure, transaction
from db.ledger import count_messages, count_states
from db.reports import is_named, reports_of, strangers
from db.runs import get_run, plan_of
from db.situation import attempt_facts, message_facts
from db.tables import Acknowledgement, Attempt, Click, Message
from domain.clicks import ClickClass
from domain.ladder import MessageFacts
from domain.plan import Plan
from domain.proof import Difference, ReportDifference, difference
from domain.reports import Report, disagreement, standing
from domain.states import AttemptState, Awaited

T = TypeVar("T")

_PAGE = 1000
_LISTED_AT_MOST = 100
_STRANGER = "the channel's report names it, and no attempt of any run has this id"


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class HeldAgainst(_View):
    """A channel's own report of the run."""

    channel: str
    reported_at: datetime
    messages: int
    """How many it names."""


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
    reports: list[HeldAgainst] = []
    """Those that the attempts were held against; of other channels there was none."""
    report_differences: list[ReportDifference] = []
    """The first of the tries that the ledger and a report tell differently."""
    report_different: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One message, proven."""

    recipient_id: str
    message: MessageFacts
    difference: Difference | None
    report_differences: tuple[ReportDifference, ...]


@dataclass(slots=True)
class _First(Generic[T]):
    """The first of many, and how many there were."""

    items: list[T] = field(default_factory=list)
    count: int = 0

    def add(self, item: T) -> None:
        self.count += 1
        if self.count <= _LISTED_AT_MOST:
            self.items.append(item)


@dataclass(frozen=True, slots=True)
class _Measure:
    """What the messages of a run are held against."""

    run_id: UUID
    plan: Plan
    reports: Mapping[str, Report]


def prove(session: Session, run_id: UUID) -> Proof:
    """Hold the rows against the snapshot, each state against its attempts, and those against reports."""
    read_at_leisure(session)
    targeted, measure = get_run(session, run_id).targeted, _measure(session, run_id)
    different, by_report = _First[Difference](), _First[ReportDifference]()
    for entry in _entries(session, measure):
        if entry.difference:
            different.add(entry.difference)
        for each in entry.report_differences:
            by_report.add(each)
    for each in _strangers(session, measure):
        by_report.add(each)
    states = count_states(session, run_id)
    rows = sum(states.values())
    return Proof(
        balanced=rows == targeted and not different.count and not by_report.count,
        targeted=targeted,
        rows=rows,
        states=states,
        unfinished=count_messages(session, Message.run_id == run_id, Message.ended_at.is_(None)),
        differences=different.items,
        different=different.count,
        reports=[
            HeldAgainst(channel=each.channel, reported_at=each.reported_at, messages=each.rows)
            for each in measure.reports.values()
        ],
        report_differences=by_report.items,
        report_different=by_report.count,
    )


def proven(engine: Engine, run_id: UUID) -> Iterator[Entry | ReportDifference]:
    """Every message, and then what a report names and nobody knows; each page in a transaction of its own."""
    with transaction(engine) as session:
        measure = _measure(session, run_id)
    after: UUID | None = None
    while True:
        with transaction(engine) as session:
            page = [_entry(row, measure) for row in _page(session, measure, after)]
        yield from page
        if not page:
            break
        after = page[-1].message.id
    with transaction(engine) as session:
        found = list(_strangers(session, measure))
    yield from found


def _measure(session: Session, run_id: UUID) -> _Measure:
    return _Measure(run_id, plan_of(session, run_id), reports_of(session, run_id))


def _entries(session: Session, measure: _Measure) -> Iterator[Entry]:
    """In pages, so that a run of millions is proven in flat memory."""
    after: UUID | None = None
    while page := _page(session, measure, after):
        yield from (_entry(row, measure) for row in page)
        after = page[-1].message.id
        session.expunge_all()


@dataclass(frozen=True, slots=True)
class _Row:
    message: Message
    attempts: tuple[tuple[Attempt, bool], ...]
    """Each with whether its channel's report names it."""
    answers: frozenset[Awaited]
    """From the facts as they came, not from what they made of the message."""


def _page(session: Session, measure: _Measure, after: UUID | None) -> list[_Row]:
    """In one statement, which sees one moment: read apart, a record in between would look like a difference."""
    chosen = select(Message).where(Message.run_id == measure.run_id).order_by(Message.id).limit(_PAGE)
    message = aliased(Message, (chosen.where(Message.id > after) if after else chosen).subquery())
    tried = aliased(Attempt)
    acknowledged = exists().where(Acknowledgement.attempt_id == tried.id, tried.message_id == message.id)
    clicked = exists().where(Click.message_id == message.id, Click.click_class == ClickClass.PERSON)
    named = is_named() if measure.reports else literal(value=False)
    joined = select(message, Attempt, named, acknowledged, clicked).outerjoin(Attempt, Attempt.message_id == message.id)
    rows = session.execute(joined.order_by(message.id, Attempt.number)).all()
    return [_row(list(group)) for _, group in groupby(rows, key=lambda row: row[0].id)]


def _row(joined: Sequence[Any]) -> _Row:
    message, _, _, acknowledged, clicked = joined[0]
    came = {Awaited.ACKNOWLEDGEMENT: acknowledged, Awaited.CLICK: clicked}
    attempts = tuple((attempt, named) for _, attempt, named, *_ in joined if attempt)
    return _Row(message, attempts, frozenset(kind for kind, it_came in came.items() if it_came))


def _entry(row: _Row, measure: _Measure) -> Entry:
    attempts = tuple(attempt_facts(attempt) for attempt, _ in row.attempts)
    facts = message_facts(row.message, attempts, measure.plan, row.answers)
    disagreeing = (_disagreement(attempt, measure.reports, named=named) for attempt, named in row.attempts)
    return Entry(row.message.recipient_id, facts, difference(facts), tuple(filter(None, disagreeing)))


def _disagreement(attempt: Attempt, reports: Mapping[str, Report], *, named: bool) -> ReportDifference | None:
    report = reports.get(attempt.channel)
    in_report = standing(report, named=named, claimed_at=attempt.claimed_at, provider_id=attempt.provider_id)
    why = disagreement(AttemptState(attempt.state), in_report, judged=attempt.verdict is not None)
    if why is None:
        return None
    return ReportDifference(
        channel=attempt.channel,
        message_id=attempt.message_id,
        attempt=attempt.number,
        attempt_id=str(attempt.id),
        why=why,
    )


def _strangers(session: Session, measure: _Measure) -> Iterator[ReportDifference]:
    """What was sent and is in no ledger: an attempt was lost, with a restored database perhaps."""
    if measure.reports:
        for channel, attempt_id in strangers(session, measure.run_id):
            yield ReportDifference(channel=channel, message_id=None, attempt=None, attempt_id=attempt_id, why=_STRANGER)

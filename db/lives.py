"""One message's rows, as the story of a person wants them."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from db.tables import Acknowledgement, Attempt, AuditEntry, Click, Message, Run
from db.tables import Deferral as DeferralRow
from domain.audit_words import actor_words, sentence
from domain.plan import Plan
from domain.story import Answer, Deferral, Intervention, MessageLife, TryLife

_TOLD = frozenset({"pause", "resume", "cancel", "approve", "release", "judge"})
"""What is done to a run and felt by its messages."""


def life_of(
    message: Message,
    run: Run,
    attempts: Sequence[Attempt],
    *,
    deferrals: Iterable[DeferralRow],
    acknowledgements: Mapping[UUID, Sequence[Acknowledgement]],
    clicks: Iterable[Click],
    audit: Iterable[tuple[AuditEntry, str | None]],
) -> MessageLife:
    """`acknowledgements` by attempt; `audit` is the run's, each entry with the name of its actor's key."""
    plan = Plan.model_validate(run.plan)
    ttl = {rung.channel: rung.ttl_seconds for rung in plan.ladder}
    acknowledged = [
        Answer(each.arrived_at, late=each.late, latency_ms=attempt.latency_ms)
        for attempt in attempts
        for each in acknowledgements.get(attempt.id, ())
    ]
    return MessageLife(
        id=message.id,
        campaign=run.campaign,
        run=f"{run.campaign}-{run.slot}",
        recipient_id=message.recipient_id,
        targeted_at=message.created_at,
        state=message.state,
        state_reason=message.state_reason,
        ended_at=message.ended_at,
        hold_reason=message.hold_reason,
        due_at=message.due_at,
        held_out=message.held_out,
        zones=(message.zone,) if message.zone else tuple(message.zone_candidates) or (plan.zone,),
        tries=tuple(_try(each, ttl.get(each.channel, 0)) for each in attempts),
        deferrals=tuple(Deferral(each.at, each.reason, each.until) for each in deferrals),
        answers=(*acknowledged, *(Answer(each.clicked_at, click_class=each.click_class) for each in clicks)),
        interventions=tuple(_interventions(message, audit)),
    )


def _try(attempt: Attempt, ttl_seconds: int) -> TryLife:
    return TryLife(
        channel=attempt.channel,
        address=attempt.address,
        state=attempt.state,
        claimed_at=attempt.claimed_at,
        ttl_seconds=ttl_seconds,
        settled_at=attempt.settled_at,
        failure=attempt.failure,
        error_code=attempt.error_code,
        verdict=attempt.verdict,
        retry_at=attempt.retry_at,
    )


def _interventions(message: Message, audit: Iterable[tuple[AuditEntry, str | None]]) -> Iterable[Intervention]:
    """Those that fell into the message's life; a verdict on it alone."""
    for entry, key_name in audit:
        if entry.action not in _TOLD or entry.at < message.created_at:
            continue
        judged = entry.details.get("message_id")
        # A cancel's entry is written a moment after the messages that it has ended.
        ended_it = entry.action == "cancel" and message.state_reason == "run_cancelled"
        over = message.ended_at is not None and entry.at > message.ended_at and not ended_it
        if (judged is None and over) or judged not in {None, str(message.id)}:
            continue
        actor = actor_words(entry.actor, key_name)
        at = min(entry.at, message.ended_at or entry.at) if ended_it else entry.at
        yield Intervention(at, actor, entry.action, sentence(entry.action, entry.details))

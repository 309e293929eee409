"""`drumbeat unknown` and `drumbeat judge`: messages whose outcome nobody knows."""

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from console.desk import Desk, open_desk
from console.references import RunReference
from console.views import plain
from db.engine import transaction
from db.unknown import UnknownMessage, UnknownTry, list_unknown
from db.verdicts import Judged, judge
from domain.problems import NoSuchMessageError, ProblemError
from domain.verdicts import Verdict
from wiring import build_hasher

_PAGE = 200

app = typer.Typer()
console = Console()

OfChannel = Annotated[str | None, typer.Option(help="Only those with such a try on this channel.")]


@app.command()
def unknown(
    reference: RunReference,
    *,
    channel: OfChannel = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 50,
) -> None:
    """The messages of a run whose outcome nobody knows, with all that speaks for and against their having arrived."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        with transaction(desk.engine) as session:
            page = list_unknown(session, found.id, None, limit + 1, channel)
    console.print(unknown_view(str(found.id)[:8], page[:limit], more=len(page) > limit))


@app.command("judge")
def judge_command(
    reference: RunReference,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[MESSAGE] VERDICT", help="VERDICT: was_sent, or retry (a double is possible)."),
    ],
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that `unknown` lists, in place of one.")] = False,
    channel: OfChannel = None,
) -> None:
    """Say what became of a message that ended as unknown; it is written to the audit log."""
    verdict, message_id = _understood(words, everything=everything)
    with open_desk(console) as desk:
        found = desk.find(reference)
        messages = [message_id] if message_id else _listed(desk, found.id, channel)
        judged, refused = _judge_each(desk, found.id, messages, verdict, alone=message_id is not None)
        if judged and verdict is Verdict.RETRY:
            desk.tell(found, sweep=True)
    for each in refused:
        console.print(plain(each, "yellow"))
    console.print(_summary(judged, verdict))
    raise typer.Exit(1 if refused else 0)


def unknown_view(run: str, messages: list[UnknownMessage], *, more: bool) -> RenderableType:
    if not messages:
        return Text("No message of this run is unknown.")
    parts: list[RenderableType] = [_message(each) for each in messages]
    if more:
        parts.append(Text("There are more: --limit shows them.", style="yellow"))
    parts.append(Text(f"drumbeat judge {run} MESSAGE was_sent|retry, or --all", style="dim"))
    return Group(*parts)


def _message(message: UnknownMessage) -> RenderableType:
    ended = message.ended_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if message.ended_at else ""
    head = Text.assemble(
        (str(message.message_id), "bold"), "  ", plain(message.recipient_id), "  ", (f"ended {ended}", "dim")
    )
    clicked = f"a person clicked its link {message.person_clicks} times: it arrived" if message.person_clicks else None
    lines: list[RenderableType] = [_try(each) for each in message.tries]
    if clicked:
        lines.append(Text(clicked, style="green"))
    return Padding(Group(head, Padding(Group(*lines), (0, 0, 0, 2))), (0, 0, 1, 0))


def _try(attempt: UnknownTry) -> RenderableType:
    at = attempt.claimed_at.astimezone().strftime("%H:%M:%S")
    why = ": ".join(filter(None, (attempt.error_code, attempt.error_text)))
    known_as = f"  (provider's id {attempt.provider_id})" if attempt.provider_id else ""
    judged = f"  judged {attempt.verdict}" if attempt.verdict else ""
    head = plain(f"try {attempt.number} by {attempt.channel} at {at}: {attempt.state}  {why}{known_as}{judged}")
    return Group(head, *(Padding(plain(each, "dim"), (0, 0, 0, 4)) for each in attempt.said))


def _understood(words: list[str], *, everything: bool) -> tuple[Verdict, UUID | None]:
    """Refuses what is neither a message and a verdict, nor a verdict alone with --all."""
    if len(words) != (1 if everything else 2):
        wanted = "the verdict alone" if everything else "a message and a verdict, or a verdict and --all"
        raise typer.BadParameter(f"give {wanted}", param_hint="[MESSAGE] VERDICT")
    if words[-1] not in set(Verdict):
        raise typer.BadParameter(f"{words[-1]!r} is none of: {', '.join(Verdict)}", param_hint="VERDICT")
    return Verdict(words[-1]), None if everything else _message_id(words[0])


def _message_id(word: str) -> UUID:
    try:
        return UUID(word)
    except ValueError:
        raise NoSuchMessageError(word) from None


def _listed(desk: Desk, run_id: UUID, channel: str | None) -> Iterator[UUID]:
    after: UUID | None = None
    while True:
        with transaction(desk.engine) as session:
            page = list_unknown(session, run_id, after, _PAGE, channel)
        yield from (each.message_id for each in page)
        if len(page) < _PAGE:
            return
        after = page[-1].message_id


def _judge_each(
    desk: Desk, run_id: UUID, messages: list[UUID] | Iterator[UUID], verdict: Verdict, *, alone: bool
) -> tuple[list[Judged], list[str]]:
    """Of many, one that is refused does not keep the others from their verdict."""
    judged, refused, hash_address = [], [], build_hasher(desk.settings)
    for message_id in messages:
        try:
            judged.append(judge(desk.engine, hash_address, run_id, message_id, verdict, actor=desk.actor))
        except ProblemError as error:
            if alone:
                raise
            refused.append(str(error))
    return judged, refused


def _summary(judged: list[Judged], verdict: Verdict) -> str:
    what = "sent again" if verdict is Verdict.RETRY else "counted as sent"
    return f"{len(judged)} {'message is' if len(judged) == 1 else 'messages are'} {what}."

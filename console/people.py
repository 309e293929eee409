"""`drumbeat why`, `consent` and `erase`: one person."""

from typing import Annotated

import typer
from rich.console import Console

from console.desk import open_desk
from console.people_views import story_view
from db.consents import Word, note_consent
from db.engine import transaction
from db.erasure import erase as erase_person
from db.people import story_of
from domain.addresses import checked_person
from domain.consents import ALL_CHANNELS, checked_consent_channel, checked_purpose
from wiring import build_hasher, build_registry

app = typer.Typer()
console = Console()

Person = Annotated[str, typer.Argument(help="Their key, as the campaigns' sources give it.")]


@app.command()
def why(
    person: Person,
    campaign: Annotated[str | None, typer.Option(help="Of this campaign alone.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many messages, the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As the API gives it.")] = False,
) -> None:
    """Why somebody did or did not get something: all that was decided for them, in order."""
    checked_person(person)
    with open_desk(console) as desk:
        if campaign is not None:
            campaign = build_registry(desk.settings)[campaign].name
        with transaction(desk.engine) as session:
            story = story_of(session, build_hasher(desk.settings), person, campaign=campaign, limit=limit)
    if as_json:
        typer.echo(story.model_dump_json(indent=2))
    else:
        console.print(story_view(story))


@app.command()
def consent(
    person: Person,
    purpose: Annotated[str, typer.Argument(help="As the campaigns' `consent` rules name it.")],
    channel: Annotated[str, typer.Argument(help="All that are not named themselves, where left out.")] = ALL_CHANNELS,
    *,
    granted: Annotated[
        bool | None, typer.Option("--grant/--withdraw", help="What they say.", show_default=False)
    ] = None,
) -> None:
    """Note what somebody says of a purpose: from now on, also in runs under way."""
    checked_person(person)
    checked_purpose(purpose)
    checked_consent_channel(channel)
    if granted is None:
        raise typer.BadParameter("say which: --grant or --withdraw", param_hint="consent")
    with open_desk(console) as desk:
        with transaction(desk.engine) as session:
            word = Word(purpose, granted, channel)
            noted = note_consent(session, build_hasher(desk.settings), person, word, actor=desk.actor)
        desk.call_up(noted.waiting)
    state = "Was so before" if noted.already else "Noted"
    where = "all channels" if channel == ALL_CHANNELS else channel
    said = "given" if granted else "withdrawn"
    since = f"since {noted.consent.since:%Y-%m-%d %H:%M} UTC"
    console.print(f"{state}: consent to {purpose} on {where} {said}, {since}.", markup=False, highlight=False)


@app.command()
def erase(
    person: Person,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase somebody: what names them goes, for good. Suppressions and consents stay, as hashes."""
    checked_person(person)
    with open_desk(console) as desk:
        if not yes:
            typer.confirm("This cannot be undone. Erase all that is known of this person?", abort=True)
        erased = erase_person(desk.engine, build_hasher(desk.settings), person, actor=desk.actor)
        desk.call_up(erased.ended)
    if not erased.messages and not erased.devices:
        console.print("Nothing was known of them; erase them at the campaigns' sources too.")
        return
    ended = f"{len(erased.ended)} of them were under way"
    console.print(
        f"Erased: {erased.messages} messages are tombstones ({ended}), {erased.devices} devices have no owner. "
        "Erase them at the campaigns' sources too, or they come back with the next audience.",
        highlight=False,
    )

"""`drumbeat approve`: a large run is let go by somebody else than who started it."""

from datetime import datetime

import typer
from rich.console import Console

from console.desk import open_desk
from console.references import RunReference
from db import launching
from db.launching import LaunchStand
from domain.launching import Gate

app = typer.Typer()
console = Console()


@app.command()
def approve(reference: RunReference) -> None:
    """Let a run go that has more messages than APPROVAL_ABOVE, and that somebody else has started."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        approved = launching.approve(desk.engine, found.id, desk.actor)
        desk.tell(found)
        then = f"Not sending yet; {approved.waits_for}." if approved.waits_for else "It sends now."
        console.print(f"Approved for {approved.targeted} messages. {then}", markup=False, highlight=False)


def launch_line(stand: LaunchStand | None, run: str) -> str | None:
    """What a run waits for, until when, and what can be done about it."""
    if stand is None:
        return None
    if stand.gate is Gate.APPROVAL:
        return f"Somebody else lets it go with `drumbeat approve {run}`; `drumbeat cancel {run}` withdraws everybody."
    if stand.gate is Gate.UNDO:
        at = _clock(stand.resumes_at)
        return f"It begins at {at}, or now by `drumbeat resume {run}`; `drumbeat cancel {run}` withdraws everybody."
    first = f"The first {stand.canary} go ahead"
    if stand.others_go_at is None:
        return f"{first}, {stand.canary_waiting} of them are not handed over yet; the others wait for them."
    return (
        f"{first}, and all are handed over; the others follow at {_clock(stand.others_go_at)} unless a threshold is "
        f"passed, or now by `drumbeat release {run}`."
    )


def _clock(at: datetime | None) -> str:
    return at.astimezone().strftime("%H:%M:%S") if at else "an unknown time"

"""`drumbeat demo`: the lock battery campaign from end to end, on real parts and invented people."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx2
from rich.console import Console
from rich.live import Live
from sqlalchemy import Engine

from console.views import run_panel
from db.engine import create_database_engine, transaction
from db.figures import campaign_figures
from db.ledger import Progress, progress
from db.proof import prove
from db.runs import RunView, get_run
from domain.problems import NoSuchRunError
from sandbox.demo_figures import Figures, cast_view, figures_view
from sandbox.folder_lock import FolderInUseError, lock_folder
from sandbox.lock_checks import LockChecks
from sandbox.people import World, invent_world
from sandbox.polling import wait_until
from sandbox.stack import LAST_CHECK_FIELD, LOCKS_TABLE, Stack, StackNotStartedError
from sandbox.up import addresses, devices_at_work, say_on, wait_for_stop
from sandbox.visitors import Visitors

DATA = Path(".drumbeat") / "demo"
TTL_SECONDS = 6
WINDOW_SECONDS = 14
"""In place of the campaign's seven days."""
HOLDOUT_PERCENT = 25.0
CHECKED_AT_SECONDS = (4.0, 22.0)
"""When people look after their locks without being told, from the run's start on."""
PAUSE_AT_SHARE = 0.4
"""Of the audience handed over."""
PAUSE_SECONDS = 3.0
ENDS_WITHIN_SECONDS = 400.0
PREVIOUS_ENDS_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.25
_ANSWER_SECONDS = 30.0
_DEMO_SETTINGS = {
    "CLICK_TOO_FAST_SECONDS": "0.5",
    # A Monday at nine in the middle of the demo would be a surprise.
    "LOCK_BATTERY_SCHEDULE": "off",
}


@dataclass(frozen=True, slots=True)
class DemoOrder:
    locks: int = 400
    seed: int = 7
    key: str | None = None
    """The run's, on which it depends who is held out; None: the time of day."""
    once: bool = False
    """End when the run has ended, and leave nothing running."""
    json_file: Path | None = None
    data: Path = DATA


def run_demo(console: Console, order: DemoOrder) -> Figures:
    """Returns when the run has ended and, unless `once`, a person has stopped it."""
    began = time.monotonic()
    world = invent_world(order.locks, order.seed, datetime.now(UTC))
    with ExitStack() as running:
        stack = _start(console, order, running)
        stack.populate(world)
        console.print(cast_view(world))
        running.enter_context(devices_at_work(stack, world, order.seed))
        figures = _play(console, order, stack, world, began)
        console.print(figures_view(figures))
        if order.json_file:
            order.json_file.parent.mkdir(parents=True, exist_ok=True)
            order.json_file.write_text(json.dumps(figures.as_json(), indent=2) + "\n")
        if not order.once:
            console.print(addresses(stack, order.data))
            wait_for_stop()
    return figures


def _start(console: Console, order: DemoOrder, running: ExitStack) -> Stack:
    with console.status("starting …") as status:
        _empty(order.data)
        return running.enter_context(Stack(order.data, say_on(status), settings=_DEMO_SETTINGS))


def _empty(folder: Path) -> None:
    """Waits for an earlier demo to end; what one that goes on has there is left alone."""
    try:
        with closing(lock_folder(folder / "postgres", within_seconds=PREVIOUS_ENDS_SECONDS)):
            shutil.rmtree(folder, ignore_errors=True)
    except FolderInUseError as error:
        raise StackNotStartedError(str(error)) from error


def _play(console: Console, order: DemoOrder, stack: Stack, world: World, began: float) -> Figures:
    engine = create_database_engine(stack.postgres.url)
    owners = {token: person.id for person in world.people for token in person.tokens}
    try:
        with httpx2.Client(base_url=stack.api_url, timeout=_ANSWER_SECONDS, trust_env=False) as api:
            run_id = _start_run(api, order)
            with (
                Visitors(run_id, owners, order.seed) as visitors,
                closing(stack.dynamodb.client()) as tables,
                LockChecks(tables, LOCKS_TABLE, LAST_CHECK_FIELD, world, order.seed) as checks,
                ExitStack() as listening,
            ):
                for listener in (visitors.push_accepted, checks.push_accepted):
                    listening.callback(stack.fcm.on_accepted(listener))
                checks.by_themselves(CHECKED_AT_SECONDS)
                with Live(console=console, auto_refresh=False) as live:
                    scene = _Scene(engine, run_id, live)
                    _pause_and_resume(console, api, stack, scene)
                    scene.until("the run has ended", lambda run, _: run.closed_at is not None)
                    console.print("[dim]Everybody has an end. Their locks are read again as their windows close …")
                    scene.until("all outcomes are read", lambda run, _: run.measured_at is not None)
        if not console.is_terminal:
            console.print()  # a live view that is not on a terminal ends without a line's end
        return _figures(engine, run_id, stack, time.monotonic() - began)
    finally:
        engine.dispose()


def _start_run(api: httpx2.Client, order: DemoOrder) -> UUID:
    parameters = {
        "ttl_seconds": TTL_SECONDS,
        "effectiveness_window_days": WINDOW_SECONDS / timedelta(days=1).total_seconds(),
        "holdout_percent": HOLDOUT_PERCENT,
    }
    wanted = {"campaign": "lock_battery", "parameters": parameters}
    answer = api.post(
        "/api/v1/runs", json=wanted, headers={"idempotency-key": order.key or f"demo-{datetime.now(UTC):%H%M%S}"}
    )
    answer.raise_for_status()
    return UUID(answer.json()["run_id"])


@dataclass(frozen=True, slots=True)
class _Scene:
    """One run, shown as it goes."""

    engine: Engine
    run_id: UUID
    live: Live

    def until(self, what: str, happened: Callable[[RunView, Progress], bool]) -> RunView:
        """The run as it was then."""
        seen: list[RunView] = []

        def look() -> bool:
            try:
                with transaction(self.engine) as session:
                    run, stand = get_run(session, self.run_id), progress(session, self.run_id)
            except NoSuchRunError:
                return False  # no worker has taken it up yet
            self.live.update(run_panel(run, stand), refresh=True)
            seen[:] = [run]
            return happened(run, stand)

        wait_until(look, ENDS_WITHIN_SECONDS, what, look_every_seconds=_LOOK_EVERY_SECONDS)
        return seen[0]


def _pause_and_resume(console: Console, api: httpx2.Client, stack: Stack, scene: _Scene) -> None:
    """Not at all where everything has ended before."""
    if scene.until("enough is handed over to pause", enough_to_pause).closed_at:
        return
    paused = api.post(f"/api/v1/runs/{scene.run_id}/pause").raise_for_status().json()
    accepted = _accepted(stack)
    console.print(f"[yellow]Paused with {sum(accepted.values())} handed over, {paused['in_flight']} in flight.")
    goes_on = time.monotonic() + PAUSE_SECONDS
    scene.until("the pause is over", lambda _run, _stand: time.monotonic() > goes_on)
    later = sum(_accepted(stack).values()) - sum(accepted.values())
    resumed = api.post(f"/api/v1/runs/{scene.run_id}/resume").raise_for_status().json()
    console.print(
        f"[green]Resumed. In {PAUSE_SECONDS:g} s of pause {later} were handed over; {resumed['held']} were held."
    )


def enough_to_pause(run: RunView, stand: Progress) -> bool:
    """Or never: of a small world, nobody may have a phone that works."""
    return run.closed_at is not None or stand.handed_over >= PAUSE_AT_SHARE * max(run.targeted or 0, 1)


def _accepted(stack: Stack) -> dict[str, int]:
    """By the providers' own count."""
    return {"fcm": len(stack.fcm.accepted), "mqtt": len(stack.broker.accepted)}


def _figures(engine: Engine, run_id: UUID, stack: Stack, seconds: float) -> Figures:
    with transaction(engine) as session:
        stand, proof, run = progress(session, run_id), prove(session, run_id), get_run(session, run_id)
        [shown] = campaign_figures(session, run.campaign, limit=1)
    return Figures(
        run_id=run_id,
        targeted=run.targeted or 0,
        states=stand.states,
        attempts=stand.attempts,
        provider_accepted=_accepted(stack),
        clicks=stand.clicks,
        people_clicked=stand.people_clicked,
        handed_over=stand.handed_over,
        left_out=run.left_out,
        noted=run.noted,
        click_through_rate=shown.click_through_rate,
        effectiveness=shown.effectiveness,
        lift=shown.lift,
        balanced=proof.balanced,
        seconds=round(seconds, 1),
    )

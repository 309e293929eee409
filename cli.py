"""Entry: the `drumbeat` command."""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.console import Console, RenderableType
from rich.live import Live
from temporalio.service import RPCError

from activities.dry_run import DryRunner
from activities.queues import CORE
from activities.starting import StartOrder, check_same, start_and_write_down
from campaigns.registry import UnknownCampaignError
from console import (
    audit,
    deployment,
    figures,
    launching,
    missed,
    people,
    proof,
    rehearsal,
    resuming,
    retrying,
    suppressions,
    unknown,
)
from console.desk import Desk, find_settings, open_desk
from console.files import writable
from console.launching import launch_line
from console.logs import log_to_standard_error
from console.order import InOrder
from console.parameters import read_parameters
from console.references import RunReference
from console.views import campaigns_table, dry_run_view, run_panel, runs_table
from db import control, ledger
from db.engine import transaction
from db.launching import launch_stand
from db.runs import list_runs
from domain.launching import LaunchOrder
from domain.plan import LONGEST_UNDO
from domain.problems import ProblemError
from domain.states import RunState
from settings import SettingsError
from wiring import UnreachableError, build_channels, build_hasher, build_house_rules, build_registry, build_sources

ABOUT = "Durable customer campaigns: every message ends in a known state, and you can prove it."

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, cls=InOrder, help=ABOUT)
app.add_typer(deployment.app)
app.add_typer(figures.app)
app.add_typer(proof.app)
app.add_typer(rehearsal.app)
app.add_typer(launching.app)
app.add_typer(missed.app)
app.add_typer(resuming.app)
app.add_typer(retrying.app)
app.add_typer(suppressions.app, name="suppress")
app.add_typer(unknown.app)
app.add_typer(people.app)
app.add_typer(audit.app)

console = Console()
errors = Console(stderr=True)

LOOK_EVERY_SECONDS = 0.5
TAKEN_UP_WITHIN_SECONDS = 10
MOST = 2**31 - 1
"""What the database can count."""


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End when the run has ended.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", callback=writable, help="Write the figures here.")] = None,
    locks: Annotated[int, typer.Option(min=10, max=1000, help="How many locks to invent.")] = 400,
    seed: Annotated[int, typer.Option(help="Of all that is drawn by lot.")] = 7,
) -> None:
    """The lock battery campaign from end to end, on servers of its own and invented people."""
    from sandbox.demo import DemoOrder, run_demo  # noqa: PLC0415 - a deployment need not have the sandbox's packages

    figures = run_demo(console, DemoOrder(locks, seed, once=once, json_file=json_file))
    raise typer.Exit(0 if figures.balanced else 1)


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(".drumbeat"),
) -> None:
    """The embedded stack: servers, simulated providers, a worker and the API, until Ctrl-C."""
    from sandbox.up import stay_up  # noqa: PLC0415 - as above

    stay_up(console, data)


@app.command()
def run(
    campaign: Annotated[str, typer.Argument(help="`drumbeat campaigns` lists them.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store and send nothing; say what would be.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Hold all but so many; `release` lets them go.")
    ] = None,
    canary: Annotated[float | None, typer.Option(min=0.1, max=99.9, help="So many per cent go first.")] = None,
    undo: Annotated[int | None, typer.Option(min=1, max=LONGEST_UNDO, help="Seconds before the first send.")] = None,
    bypass: Annotated[
        bool, typer.Option("--bypass-frequency-caps", help="Send also to who has had enough; it is audited.")
    ] = False,
    param: Annotated[list[str] | None, typer.Option(help="name=value, as often as needed.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key is the same run.")] = None,
) -> None:
    """Start a run of a campaign."""
    parameters, launch = read_parameters(param or []), LaunchOrder(canary_percent=canary, undo_seconds=undo)
    with open_desk(console) as desk:
        registry = build_registry(desk.settings)
        wanted = registry.parameters(campaign, parameters)  # a wrong word is answered before Temporal is waited for
        if dry_run:
            channels, sources = build_channels(desk.settings), build_sources(desk.settings, desk.engine)
            hasher, rules = build_hasher(desk.settings), build_house_rules(desk.settings)
            runner = DryRunner(desk.engine, channels, sources, hasher, rules)
            prediction = runner.predict(registry[campaign], wanted, bypass_frequency_caps=bypass)
            console.print(dry_run_view(prediction))
            return
        order = StartOrder(campaign, parameters, key, limit, desk.actor, launch, bypass)
        started = desk.with_temporal(lambda it: start_and_write_down(it, desk.engine, registry, order, CORE))
        if started.already:
            known, given = desk.find(str(started.run_id)), wanted.model_dump(mode="json")
            check_same(known, given, bypass_frequency_caps=bypass, launch=launch)
        console.print(f"{'Started before' if started.already else 'Started'}: run [bold]{started.run_id}")
        if _taken_up(desk, started.run_id):
            console.print(f"[dim]drumbeat show {str(started.run_id)[:8]}")
        else:
            console.print("[yellow]No worker has taken it up yet: it begins when one runs (`drumbeat worker`).")


@app.command()
def runs(limit: Annotated[int, typer.Option(min=1, max=500)] = 20) -> None:
    """The newest runs."""
    with open_desk(console) as desk, transaction(desk.engine) as session:
        console.print(runs_table(list_runs(session, limit)))
        if line := missed.missed_line(session):
            console.print(line)


@app.command()
def show(
    reference: RunReference,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it as it stands, and end.")] = False,
) -> None:
    """One run, live until nothing is awaited any more."""
    with open_desk(console) as desk:
        over, view = _stand(desk, reference)
        if once:
            console.print(view)
            return
        with Live(view, console=console, auto_refresh=False) as live:
            while not over:
                time.sleep(LOOK_EVERY_SECONDS)
                over, view = _stand(desk, reference)
                live.update(view, refresh=True)


@app.command()
def pause(reference: RunReference) -> None:
    """After this has answered, no further message of the run is handed over."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        paused = control.pause(desk.engine, found.id, desk.actor)
        desk.tell(found)
        console.print(f"{'Was paused already' if paused.already else 'Paused'}; {paused.in_flight} in flight.")


@app.command()
def cancel(reference: RunReference) -> None:
    """Withdraw all that was not sent, and stop further rungs."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        cancelled = control.cancel(desk.engine, found.id, desk.actor)
        desk.tell(found, sweep=True)
        state = "Was cancelled already" if cancelled.already else "Cancelled"
        console.print(
            f"{state}; {cancelled.withdrawn} withdrawn, {cancelled.in_flight} in flight, "
            f"{cancelled.awaiting} sent and still awaited."
        )


@app.command()
def release(
    reference: RunReference,
    up_to: Annotated[
        int | None, typer.Argument(min=1, max=MOST, help="How many in all; everybody where left out.")
    ] = None,
) -> None:
    """Let more of a run go that was started with --limit."""
    with open_desk(console) as desk:
        found = desk.find(reference)
        released = control.release(desk.engine, found.id, desk.actor, up_to)
        desk.tell(found, sweep=True)
        console.print(f"{released} of {found.targeted} are released.")


@app.command()
def campaigns() -> None:
    """What can be run."""
    console.print(campaigns_table(build_registry(find_settings())))


def main() -> None:
    """Expected refusals are one clear line and exit code 1, never a stack trace."""
    code = _run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's client leaves threads behind that can abort the process while the interpreter is taken down
    # (temporalio/sdk-python#300). Everything of ours is closed by now, so the interpreter is not taken down.
    os._exit(code)


def _run() -> int:
    log_to_standard_error(logging.WARNING)
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"]))
            unknown = problem["type"] == "extra_forbidden"
            _refuse(f"there is no parameter {name!r}" if unknown else f"parameter {name}: {problem['msg']}")
    except (ProblemError, SettingsError, UnreachableError, UnknownCampaignError) as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        _refuse(
            f"{error.name} is not installed here: `up` and `demo` need the sandbox, which a clone of the repository has"
        )
    except RPCError as error:
        _refuse(f"Temporal refuses: {error} (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY)")
    return 1


def _refuse(why: str) -> None:
    errors.print(why, style="red", markup=False, highlight=False, soft_wrap=True)


def _stand(desk: Desk, reference: str) -> tuple[bool, RenderableType]:
    """Whether the run is over, and how it stands."""
    with transaction(desk.engine) as session:
        found = desk.find(reference)
        waits = launch_line(launch_stand(session, found), str(found.id)[:8])
        return found.closed_at is not None, run_panel(found, ledger.progress(session, found.id), waits)


def _taken_up(desk: Desk, run_id: UUID) -> bool:
    """Whether a worker has begun it; it does so at once where there is one."""
    give_up = time.monotonic() + TAKEN_UP_WITHIN_SECONDS
    while desk.find(str(run_id)).state is RunState.SCHEDULED:
        if time.monotonic() > give_up:
            return False
        time.sleep(LOOK_EVERY_SECONDS)
    return True


if __name__ == "__main__":
    main()

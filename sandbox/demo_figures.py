"""The demo's figures, for people and for scripts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.views import counts_table, side_by_side
from db.figures import Effectiveness, LiftView
from domain.states import HANDED_OVER
from sandbox.people import World


@dataclass(frozen=True, slots=True)
class Figures:
    run_id: UUID
    targeted: int
    states: Mapping[str, int]
    attempts: Mapping[str, Mapping[str, int]]
    """By channel, then by state."""
    provider_accepted: Mapping[str, int]
    """By the simulators' own count."""
    clicks: Mapping[str, int]
    people_clicked: int
    handed_over: int
    click_through_rate: float | None
    effectiveness: Effectiveness | None
    lift: LiftView | None
    left_out: Mapping[str, int]
    noted: Mapping[str, int]
    balanced: bool
    seconds: float

    def ledger_accepted(self, channel: str) -> int:
        """Attempts that our ledger says a provider took."""
        return sum(count for state, count in self.attempts.get(channel, {}).items() if state in HANDED_OVER)

    def as_json(self) -> dict[str, Any]:
        """Every channel has its attempts, also where there were none."""
        attempts = {channel: self.attempts.get(channel, {}) for channel in self.provider_accepted}
        measured = {
            "effectiveness": self.effectiveness and self.effectiveness.model_dump(),
            "lift": self.lift and self.lift.model_dump(),
        }
        return asdict(self) | measured | {"run_id": str(self.run_id), "attempts": attempts}


def cast_view(world: World) -> RenderableType:
    """Who plays."""
    expected = world.expected
    grid = side_by_side(
        [
            counts_table("locks", {"stale": sum(lock.stale for lock in world.locks), "fresh": expected.fresh}),
            counts_table("phones of the targeted", expected.phones),
            counts_table("their devices of ours", expected.behaviours),
        ]
    )
    return Panel(grid, title=f"{len(world.locks)} invented locks, {len(world.people)} invented people", expand=False)


def figures_view(figures: Figures) -> RenderableType:
    verdict = (
        Text("The ledger balances.", "bold green") if figures.balanced else Text("IT DOES NOT BALANCE", "bold red")
    )
    head = Text(
        f"{figures.targeted} targeted, {figures.states.get('held_out', 0)} of them held out, "
        f"{figures.handed_over} sent, {figures.people_clicked} clicked "
        f"({figures.click_through_rate or 0:.1%} of the sent), in {figures.seconds:g} s."
    )
    grid = side_by_side(
        [
            counts_table("messages ended as", figures.states),
            *(counts_table(f"tries by {channel}", states) for channel, states in sorted(figures.attempts.items())),
            counts_table("clicks by class", figures.clicks),
            counts_table("not targeted", figures.left_out),
            counts_table("worth a look", figures.noted),
        ]
    )
    return Panel(Group(verdict, head, *_helped(figures), _books(figures), grid), title="the demo's run", expand=False)


def _helped(figures: Figures) -> list[Text]:
    effect, lift = figures.effectiveness, figures.lift
    lines = []
    if effect and effect.share is not None:
        lines.append(Text(f"Effectiveness: {effect.share:.1%} of {effect.subjects} locks were checked after it."))
    if lift and lift.lift is not None:
        points, low, high = (100 * (each or 0) for each in (lift.lift, lift.low, lift.high))
        shares = f"{lift.treated_share:.1%} of the treated, {lift.held_out_share:.1%} of the held out"
        lines.append(Text(f"Lift: {points:+.1f} points (95 %: {low:+.1f} to {high:+.1f}): {shares}."))
    elif lift:
        lines.append(Text(f"Lift: {lift.why}."))
    return lines


def _books(figures: Figures) -> Table:
    """Our ledger beside the providers' own books."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("accepted by", "our ledger", "the provider's own count", ""):
        table.add_column(name, justify="right" if name in {"our ledger", "the provider's own count"} else "left")
    for channel, accepted in figures.provider_accepted.items():
        ours = figures.ledger_accepted(channel)
        same = Text("the same", "green") if ours == accepted else Text("NOT THE SAME", "bold red")
        table.add_row(channel, str(ours), str(accepted), same)
    return table

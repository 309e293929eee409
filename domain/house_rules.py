"""The operator's own rules, for campaigns whose file says nothing of them."""

from dataclasses import dataclass
from typing import TypeVar

from domain.plan import Halt, Launch, Plan
from domain.rules import USUAL_QUIET_HOURS, Frozen, QuietHours, permitted_hours

_Rules = TypeVar("_Rules", bound=Frozen)


@dataclass(frozen=True, slots=True)
class HouseRules:
    zone: str = "UTC"
    """Of a recipient whose own is not known."""
    quiet_hours: QuietHours | None = USUAL_QUIET_HOURS
    launch: Launch = Launch()  # noqa: RUF009 - frozen
    halt: Halt = Halt()  # noqa: RUF009 - frozen

    def applied_to(self, plan: Plan) -> Plan:
        """What the campaign's file says stays as it is. Raises NeverOpensError."""
        own = {"zone": self.zone, "quiet_hours": self.quiet_hours}
        silent: dict[str, object] = {name: rule for name, rule in own.items() if name not in plan.model_fields_set}
        # Each by itself: whoever names a canary must not lose the operator's approval by it.
        silent |= {"launch": _completed(plan.launch, self.launch), "halt": _completed(plan.halt, self.halt)}
        complete = plan.model_copy(update=silent)
        permitted_hours(complete.window, complete.quiet_hours)
        return complete


def _completed(said: _Rules, by: _Rules) -> _Rules:
    return by.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


NO_HOUSE_RULES = HouseRules(quiet_hours=None)

"""The operator's own rules, for campaigns whose file says nothing of them."""

from dataclasses import dataclass

from domain.plan import Halt, Launch, Plan
from domain.rules import USUAL_QUIET_HOURS, QuietHours, permitted_hours


@dataclass(frozen=True, slots=True)
class HouseRules:
    zone: str = "UTC"
    """Of a recipient whose own is not known."""
    quiet_hours: QuietHours | None = USUAL_QUIET_HOURS
    launch: Launch = Launch()  # noqa: RUF009 - frozen
    halt: Halt = Halt()  # noqa: RUF009 - frozen

    def applied_to(self, plan: Plan) -> Plan:
        """What the campaign's file says stays as it is. Raises NeverOpensError."""
        own = {"zone": self.zone, "quiet_hours": self.quiet_hours, "launch": self.launch, "halt": self.halt}
        silent = {name: rule for name, rule in own.items() if name not in plan.model_fields_set}
        complete = plan.model_copy(update=silent)
        permitted_hours(complete.window, complete.quiet_hours)
        return complete


NO_HOUSE_RULES = HouseRules(quiet_hours=None)

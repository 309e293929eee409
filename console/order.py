"""The commands as `drumbeat --help` lists them: by what somebody wants to do."""

from typer.core import TyperGroup

PANELS = {
    "Look first": ("up", "demo", "campaigns", "rehearse"),
    "Runs": ("run", "runs", "show", "figures", "proof", "report", "unknown", "judge", "retry-failed", "missed"),
    "Control": ("pause", "resume", "cancel", "release", "approve"),
    "People": ("why", "suppress", "consent", "erase", "audit"),
    "Deployment": ("migrate", "worker", "api", "health", "key"),
}
_PLACES = [name for names in PANELS.values() for name in names]


class InOrder(TyperGroup):
    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - Typer gives it
        for panel, names in PANELS.items():
            for name in names:
                vars(self.commands[name])["rich_help_panel"] = panel
        return sorted(self.commands, key=_PLACES.index)

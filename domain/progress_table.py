"""How a run stands, as the Markdown table that Temporal's web UI shows."""

from collections.abc import Mapping


def progress_table(run_state: str, states: Mapping[str, int], held: Mapping[str, int]) -> str:
    rows = [f"| {state} | {count} |" for state, count in sorted(states.items())]
    rows += [f"| held: {reason} | {count} |" for reason, count in sorted(held.items())]
    return "\n".join([f"**{run_state}**", "", "| messages | |", "|---|---:|", *rows])

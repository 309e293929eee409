"""Who is called what in Temporal and in the database, so that everybody can work out an id without asking."""

from uuid import NAMESPACE_URL, UUID, uuid5


def run_workflow_id(campaign: str, slot: str) -> str:
    return f"run:{campaign}-{slot}"


def slot_of(workflow_id: str, campaign: str) -> str:
    """A schedule appends the planned time by itself: `run:lock_battery-2026-11-23T09:00:00Z`."""
    return workflow_id.removeprefix(run_workflow_id(campaign, ""))


def run_id_of(workflow_id: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"drumbeat:{workflow_id}")


def message_id_of(run_id: UUID, recipient_id: str) -> UUID:
    """The same in a snapshot's second try."""
    return uuid5(run_id, recipient_id)


def message_workflow_id(message_id: UUID) -> str:
    return f"message:{message_id}"


def measurement_workflow_id(run_id: UUID) -> str:
    return f"measure:{run_id}"


def batch_workflow_id(run_id: UUID, number: int) -> str:
    return f"batch:{run_id}:{number}"

"""Task queues: one for the workflows and what they ask of the database, one for each channel."""

CORE = "drumbeat"


def of_channel(core: str, channel: str) -> str:
    """Each channel has its own, so that a slow provider does not hold up the others."""
    return f"{core}.send.{channel}"

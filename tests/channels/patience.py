from contextlib import suppress

from channels.interface import Channel, ProviderBusyError

TRIES = 60


def prepare_patiently(channel: Channel) -> None:
    """As the activity's retries would: a client's pauses between two connections may be longer than one `prepare`."""
    for _ in range(TRIES):
        with suppress(ProviderBusyError):
            return channel.prepare()
    return channel.prepare()

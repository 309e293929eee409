"""What can be wrong with a request, as errors whose text names the thing and the remedy."""

from collections.abc import Iterable


class ProblemError(Exception):
    """An expected refusal: shown to whoever asked, never a stack trace."""


class TemporaryProblemError(ProblemError):
    """May be gone at the next try, without anybody doing anything."""


class NoSuchRunError(ProblemError):
    def __init__(self, reference: str) -> None:
        super().__init__(f"there is no run {reference!r}: `drumbeat runs` lists them")


class NoSuchMessageError(ProblemError):
    def __init__(self, reference: str) -> None:
        super().__init__(f"there is no message {reference!r} in this run")


class NotUnknownError(ProblemError):
    def __init__(self, message_id: object, state: str) -> None:
        super().__init__(f"message {message_id} is {state}: a verdict is given on one that ended as unknown")


class NothingLeftToTryError(ProblemError):
    def __init__(self, message_id: object) -> None:
        super().__init__(
            f"message {message_id} cannot be sent again: no rung is left for it, they want nothing more, or it is no "
            "longer valid"
        )


class NothingFailedError(ProblemError):
    def __init__(self, run: object) -> None:
        super().__init__(f"nothing has failed in run {run}: there is nobody to send to again")


class NoSuchChannelError(ProblemError):
    def __init__(self, channel: str, known: Iterable[str]) -> None:
        super().__init__(f"this run has no channel {channel!r}; it has: {', '.join(known)}")


class WrongStateError(ProblemError):
    """The run is in a state in which this cannot be done."""

    def __init__(self, action: str, state: str, remedy: str) -> None:
        super().__init__(f"cannot {action} a run that is {state}: {remedy}")
        self.state = state


class SecondKeyNeededError(ProblemError):
    """Two people must have looked at a large run."""

    def __init__(self, actor: str) -> None:
        super().__init__(f"{actor} has started this run: somebody else, with another key, must approve it")


class RunIsBusyError(ProblemError):
    """The run's lock could not be had in time; nothing was changed."""

    def __init__(self, action: str) -> None:
        super().__init__(f"could not {action}: the run's lock was not free within 3 s, nothing was changed; try again")

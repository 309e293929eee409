"""A person's rules as a plan states them: when, how often, and with whose consent a message may be handed over."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.problems import ProblemError

HOURS = range(24)


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NeverOpensError(ProblemError):
    def __init__(self, window: "SendWindow", quiet_hours: "QuietHours") -> None:
        super().__init__(
            f"window {window.opens}-{window.closes} never opens: all of it lies in the quiet hours "
            f"{quiet_hours.begin}-{quiet_hours.end}; move the window, or set other quiet hours"
        )


class Cap(Frozen):
    """At most `count` messages handed over to one person in `days`, whatever became of them, over all campaigns."""

    count: Annotated[int, Field(gt=0)]
    days: Annotated[int, Field(gt=0)]


USUAL_CAPS = (Cap(count=1, days=7), Cap(count=3, days=30))
"""Of marketing: what SmartEngage's specification gives as its default."""


class SendWindow(Frozen):
    """Whole hours of the recipient's local day in which a message may be handed over."""

    opens: Annotated[int, Field(ge=0, le=23)]
    closes: Annotated[int, Field(ge=1, le=24)]

    @model_validator(mode="after")
    def _opens_at_all(self) -> Self:
        if self.opens >= self.closes:
            raise ValueError(f"window {self.opens}-{self.closes} never opens: opens must be before closes")
        return self


class QuietHours(Frozen):
    """Whole hours of the recipient's local day in which nothing is handed over; they may span midnight."""

    begin: Annotated[int, Field(ge=0, le=23)]
    end: Annotated[int, Field(ge=0, le=23)]

    @model_validator(mode="after")
    def _ends_at_all(self) -> Self:
        if self.begin == self.end:
            raise ValueError(
                f"quiet hours {self.begin}-{self.end} are none or all of the day: begin and end must differ"
            )
        return self

    @property
    def hours(self) -> frozenset[int]:
        length = (self.end - self.begin) % 24
        return frozenset((self.begin + offset) % 24 for offset in range(length))


USUAL_QUIET_HOURS = QuietHours(begin=21, end=8)


def permitted_hours(window: SendWindow | None, quiet_hours: QuietHours | None) -> frozenset[int]:
    """The hours of the local day in which a message may be handed over. Raises NeverOpensError."""
    open_hours: Iterable[int] = range(window.opens, window.closes) if window else HOURS
    permitted = frozenset(open_hours) - (quiet_hours.hours if quiet_hours else frozenset())
    if not permitted and window and quiet_hours:
        raise NeverOpensError(window, quiet_hours)
    return permitted


class ConsentRule(Frozen):
    """What a message is for, so that a person can say yes or no to just that."""

    purpose: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    opt_in: bool = False
    """Whether nothing may be sent before the person has said yes; else only a no counts."""

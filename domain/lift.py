"""Whether a campaign helped: the treated compared with the held out, by a share with its interval."""

from dataclasses import dataclass
from math import sqrt
from typing import Self

Z_95 = 1.959963984540054
"""The standard normal's quantile for 95 % on both sides."""
METHOD = "Newcombe's hybrid score interval, with each arm's size divided by its design effect"
FEWEST_GROUPS = 10
"""Effective ones, in each arm: with less, nothing is said."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm as sums over its groups. A group (locks and people that hang together) is assigned as a whole."""

    groups: int = 0
    subjects: int = 0
    helped: int = 0
    squared_subjects: int = 0
    """Of each group its subjects, squared, added up; likewise below."""
    squared_helped: int = 0
    subjects_times_helped: int = 0

    @classmethod
    def of(cls, groups: list[tuple[int, int]]) -> Self:
        """From (subjects, helped) of each group."""
        return cls(
            groups=len(groups),
            subjects=sum(subjects for subjects, _ in groups),
            helped=sum(helped for _, helped in groups),
            squared_subjects=sum(subjects**2 for subjects, _ in groups),
            squared_helped=sum(helped**2 for _, helped in groups),
            subjects_times_helped=sum(subjects * helped for subjects, helped in groups),
        )

    @property
    def share(self) -> float:
        return self.helped / self.subjects

    @property
    def effective_groups(self) -> float:
        """So many groups of one size would say as much (Kish): two large ones among small ones are not many."""
        return self.subjects**2 / self.squared_subjects if self.squared_subjects else 0.0

    @property
    def design_effect(self) -> float:
        """How much more the share varies than if each subject had been assigned by itself; at least 1.

        The ratio estimator's variance between groups over the binomial one. Subjects of one group do alike, and
        counting them as independent would make the interval too narrow.
        """
        share = self.share
        binomial = self.subjects * share * (1 - share)
        if not binomial:
            # All alike, so nothing can be seen of how groups vary: as if each effective group were one subject.
            return self.subjects / self.effective_groups
        between = self.squared_helped - 2 * share * self.subjects_times_helped + share**2 * self.squared_subjects
        return max(1.0, between / binomial)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval of the share, at 95 %."""
        size, share = self.subjects / self.design_effect, self.share
        middle = (share + Z_95**2 / (2 * size)) / (1 + Z_95**2 / size)
        reach = Z_95 / (1 + Z_95**2 / size) * sqrt(share * (1 - share) / size + Z_95**2 / (4 * size**2))
        return max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(frozen=True, slots=True)
class Lift:
    """Shares, not per cent: 0.05 means five percentage points more among the treated."""

    lift: float
    low: float
    high: float


def compare(treated: Arm, held_out: Arm) -> Lift | None:
    """Treated minus held out with a 95 % interval (METHOD); None where there is not enough data.

    Newcombe, R. G. (1998), Statistics in Medicine 17, 873-890, method 10; the effective sizes are those of survey
    statistics (Kish's design effect).
    """
    if min(treated.effective_groups, held_out.effective_groups) < FEWEST_GROUPS:
        return None
    difference = treated.share - held_out.share
    (low_1, high_1), (low_2, high_2) = treated.interval, held_out.interval
    below = sqrt((treated.share - low_1) ** 2 + (high_2 - held_out.share) ** 2)
    above = sqrt((high_1 - treated.share) ** 2 + (held_out.share - low_2) ** 2)
    return Lift(difference, max(-1.0, difference - below), min(1.0, difference + above))

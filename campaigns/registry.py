"""Finds the campaigns in this folder by themselves, and gives their parameters the operator's defaults."""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import campaigns
from campaigns.campaign import Campaign, Parameters, Schedule

_NOT_CAMPAIGNS = {"campaign", "registry"}


class UnknownCampaignError(LookupError):
    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no campaign {name!r}; there are: {', '.join(known) or 'none'}")


@dataclass(frozen=True, slots=True)
class Registry:
    campaigns: Mapping[str, Campaign[Any]]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By campaign, parameters that the operator's settings set."""

    def __getitem__(self, name: str) -> Campaign[Any]:
        if name not in self.campaigns:
            raise UnknownCampaignError(name, sorted(self.campaigns))
        return self.campaigns[name]

    def parameters(self, name: str, given: Mapping[str, Any]) -> Parameters:
        """What a run uses: what it was given, else the operator's default, else the campaign's.

        Raises pydantic's ValidationError, which names the field, and UnknownCampaignError.
        """
        model: type[Parameters] = self[name].parameters
        return model.model_validate({**self.defaults.get(name, {}), **given})


Reschedule = Callable[[Schedule | None], Schedule | None]
"""What the operator makes of a campaign's own schedule."""


def find_campaigns(defaults: Mapping[str, Mapping[str, Any]], reschedule: Mapping[str, Reschedule]) -> Registry:
    """All campaigns of this folder. A name used twice is an error now, not on Monday at nine."""
    found: dict[str, Campaign[Any]] = {}
    for module in pkgutil.iter_modules(campaigns.__path__):
        if module.name in _NOT_CAMPAIGNS:
            continue
        campaign: Campaign[Any] = import_module(f"campaigns.{module.name}").CAMPAIGN
        if campaign.name in found:
            raise ValueError(f"two campaigns are called {campaign.name!r}: rename one (campaigns/{module.name}.py)")
        planned = reschedule.get(campaign.name, _as_it_is)(campaign.schedule)
        found[campaign.name] = replace(campaign, schedule=planned)
    return Registry(found, defaults)


def _as_it_is(schedule: Schedule | None) -> Schedule | None:
    return schedule

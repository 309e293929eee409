"""The campaign that is measured: lock battery's ladder, an invented audience, a channel that accepts at once."""

from collections.abc import Iterator

from benchmarks.hand_overs import HandOvers
from campaigns.campaign import Campaign, Parameters
from campaigns.registry import Registry
from channels.interface import ChannelFacts, Outgoing, Receipt
from domain.message import AudiencePage, Message, Recipient, Scan
from domain.plan import Plan, Rung
from domain.states import Awaited

NAME = "benchmark"
TTL_SECONDS = 3600
_PAGE = 500


class Measured(Parameters):
    recipients: int = 600


class AcceptingChannel:
    """Takes whatever it is given at once, in the worker's own memory: no provider's time is measured."""

    def __init__(self, name: str, hand_overs: HandOvers) -> None:
        self.name = name
        self._hand_overs = hand_overs

    @property
    def facts(self) -> ChannelFacts:
        return ChannelFacts(repeated_as="dedupe_id", acknowledges=True, timeout_seconds=8, payload_limit_bytes=4096)

    def prepare(self) -> None: ...

    def send(self, message: Outgoing, address: str) -> Receipt:  # noqa: ARG002 - an address is not needed here
        self._hand_overs.tell(message.message_id)
        return Receipt(str(message.message_id))

    def close(self) -> None: ...


def plan(_: Measured) -> Plan:
    ladder = tuple(Rung(channel=channel, ttl_seconds=TTL_SECONDS) for channel in ("fcm", "mqtt"))
    return Plan(ladder=ladder, awaits=frozenset(Awaited))


def audience(parameters: Measured, _: object, scan: Scan) -> Iterator[AudiencePage]:
    for first in range(int(scan.bookmarks.get("0") or 0), parameters.recipients, _PAGE):
        last = min(first + _PAGE, parameters.recipients)
        yield AudiencePage(tuple(map(_recipient, range(first, last))), bookmark=("0", str(last)))


def message(recipient: Recipient, _: Measured) -> Message:
    lock = recipient.facts["locks"][0]
    return Message(
        "Check your lock's battery", f"Not checked for a while: {lock}. It takes a minute.", {"lock_id": lock}
    )


def _recipient(number: int) -> Recipient:
    name = f"person-{number:06}"
    return Recipient(
        id=name,
        subject=f"lock-{number:06}",
        person_key=name,
        facts={"locks": [f"lock-{number:06}"]},
        addresses={"fcm": (f"token-of-{name}",), "mqtt": (f"device-{number:06}",)},
        acknowledges=True,
    )


CAMPAIGN = Campaign(
    name=NAME,
    purpose="Measures the engine.",
    parameters=Measured,
    source="invented",
    plan=plan,
    audience=audience,
    message=message,
)


def build_registry() -> Registry:
    return Registry({NAME: CAMPAIGN})

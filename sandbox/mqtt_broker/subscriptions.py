"""Who wants which topic: filters with + and #, and groups that share what comes."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mqtt5 import QoS, RetainHandling, TopicFilter
from paho.mqtt.client import topic_matches_sub

# The enumerations of mqtt5 come from Rust: equal, but never identical nor ordered.

_SHARE_LEVELS = 3
"""$share, the group, and at least one level of the filter itself."""


@dataclass(frozen=True, slots=True)
class Subscription:
    client_id: str
    name: str
    """As the client wrote it; what it unsubscribes from."""
    pattern: str
    """The same without `$share/{group}/`."""
    group: str | None
    max_qos: QoS
    no_local: bool
    retain_as_published: bool
    retain_handling: RetainHandling


def read_filter(client_id: str, wanted: TopicFilter) -> Subscription:
    """Raises ValueError for a filter that MQTT does not know."""
    group, pattern = _split_share(wanted.pattern)
    if not _is_valid(pattern):
        raise ValueError(f"not a topic filter: {wanted.pattern}")
    return Subscription(
        client_id=client_id,
        name=wanted.pattern,
        pattern=pattern,
        group=group,
        max_qos=min(wanted.max_qos, QoS.AT_LEAST_ONCE, key=int),
        no_local=wanted.no_local,
        retain_as_published=wanted.retain_as_published,
        retain_handling=wanted.retain_handling,
    )


class Subscriptions:
    def __init__(self) -> None:
        self._exact: dict[str, dict[str, Subscription]] = {}
        self._wild: dict[str, dict[str, Subscription]] = {}
        self._turns: Counter[str] = Counter()

    def add(self, subscription: Subscription) -> None:
        patterns = self._patterns(subscription)
        patterns.setdefault(subscription.pattern, {})[_key(subscription)] = subscription

    def remove(self, subscription: Subscription) -> None:
        patterns = self._patterns(subscription)
        del patterns[subscription.pattern][_key(subscription)]
        if not patterns[subscription.pattern]:
            del patterns[subscription.pattern]

    def receivers(self, topic: str, is_connected: Callable[[str], bool]) -> list[Subscription]:
        """One for each client with subscriptions of its own, and one for each group whose turn it is."""
        own: dict[str, Subscription] = {}
        groups: dict[str, list[Subscription]] = {}
        for subscription in self._matching(topic):
            if subscription.group is not None:
                groups.setdefault(subscription.name, []).append(subscription)
            elif subscription.client_id not in own or int(own[subscription.client_id].max_qos) < int(
                subscription.max_qos
            ):
                own[subscription.client_id] = subscription
        return [*own.values(), *(self._next_of(members, is_connected) for members in groups.values())]

    def _next_of(self, members: list[Subscription], is_connected: Callable[[str], bool]) -> Subscription:
        present = [member for member in members if is_connected(member.client_id)] or members
        name = members[0].name
        self._turns[name] += 1
        return present[self._turns[name] % len(present)]

    def _matching(self, topic: str) -> Iterator[Subscription]:
        yield from self._exact.get(topic, {}).values()
        for pattern, subscriptions in self._wild.items():
            if topic_matches_sub(pattern, topic):
                yield from subscriptions.values()

    def _patterns(self, subscription: Subscription) -> dict[str, dict[str, Subscription]]:
        return self._wild if {"+", "#"} & set(subscription.pattern.split("/")) else self._exact


def _key(subscription: Subscription) -> str:
    return f"{subscription.client_id}\0{subscription.name}"


def _split_share(name: str) -> tuple[str | None, str]:
    if not name.startswith("$share/"):
        return None, name
    levels = name.split("/", _SHARE_LEVELS - 1)
    if len(levels) < _SHARE_LEVELS or not levels[1] or {"+", "#"} & set(levels[1]):
        raise ValueError(f"not a shared subscription: {name}")
    return levels[1], levels[2]


def _is_valid(pattern: str) -> bool:
    levels = pattern.split("/")
    whole = all(level in {"+", "#"} or not {"+", "#"} & set(level) for level in levels)
    return bool(pattern) and whole and "#" not in levels[:-1]

"""The heart of the broker: its sessions, and what goes from whom to whom. Lives on the broker's loop."""

import asyncio
import threading
from collections.abc import Mapping

from mqtt5 import (
    ConnectPacket,
    PubAckReasonCode,
    PublishPacket,
    QoS,
    RetainHandling,
    SubAckReasonCode,
    TopicFilter,
    UnsubAckReasonCode,
    Will,
)

from sandbox.mqtt_broker.commands import Accepted, Fault, FaultBook, accepted_now, addressee
from sandbox.mqtt_broker.sessions import NEVER, Delivery, Link, Publication, Session
from sandbox.mqtt_broker.subscriptions import Subscription, Subscriptions, read_filter


class Exchange:
    def __init__(self, faults: FaultBook, users: Mapping[str, str] | None) -> None:
        self._faults = faults
        self.accepted: list[Accepted] = []
        self.commands_seen = 0
        self.command_came = threading.Condition()
        self._users = users
        self._sessions: dict[str, Session] = {}
        self._subscriptions = Subscriptions()
        self._retained: dict[str, Publication] = {}

    def admits(self, packet: ConnectPacket) -> bool:
        if self._users is None:
            return True
        password = (packet.password or b"").decode(errors="replace")
        return self._users.get(packet.username or "") == password

    def open_session(self, client_id: str, packet: ConnectPacket) -> tuple[Session, bool]:
        """The session that this client goes on with, and whether it was there already."""
        session = self._sessions.get(client_id)
        if session and session.link:
            session.link.take_over()
            session.link = None
        if session and packet.clean_start:
            self._forget(session)
            session = None
        present = session is not None
        session = session or self._sessions.setdefault(client_id, Session(client_id))
        session.expiry_seconds = packet.session_expiry_interval
        if session.expiry_timer:
            session.expiry_timer.cancel()
        return session, present

    def leave_session(self, session: Session) -> None:
        """The connection is gone: the session waits for the next one as long as the client asked for."""
        session.link = None
        if session.expiry_seconds == 0:
            self._forget(session)
        elif session.expiry_seconds != NEVER:
            loop = asyncio.get_running_loop()
            session.expiry_timer = loop.call_later(session.expiry_seconds, self._forget, session)

    def publish(self, packet: PublishPacket, sender: str) -> PubAckReasonCode:
        if not packet.topic or {"+", "#"} & set(packet.topic):
            return PubAckReasonCode.TOPIC_NAME_INVALID
        publication = Publication.arrived(packet, self._now)
        if packet.retain:
            self._retain(publication)
        receivers = self._subscriptions.receivers(packet.topic, self._is_connected)
        if not receivers:
            return PubAckReasonCode.NO_MATCHING_SUBSCRIBERS
        for subscription in receivers:
            if not (subscription.no_local and subscription.client_id == sender):
                retain = packet.retain and subscription.retain_as_published
                self._deliver(publication, subscription, retain=retain)
        self._keep_record(packet)
        return PubAckReasonCode.SUCCESS

    def fault_due(self, packet: PublishPacket) -> Fault | None:
        """The fault that a command to a device meets, if any; counts the command."""
        device = addressee(packet.topic)
        if device is None or packet.qos == QoS.AT_MOST_ONCE:
            return None
        with self.command_came:
            self.commands_seen += 1
            self.command_came.notify_all()
        return self._faults.due(device)

    def publish_will(self, will: Will, sender: str) -> None:
        """At once: a delay that the client asked for is not kept."""
        packet = PublishPacket(
            will.topic,
            will.payload or b"",
            qos=will.qos,
            retain=will.retain,
            packet_id=None if will.qos == QoS.AT_MOST_ONCE else 1,
            payload_format_indicator=will.payload_format_indicator,
            message_expiry_interval=will.message_expiry_interval,
            content_type=will.content_type,
            response_topic=will.response_topic,
            correlation_data=will.correlation_data,
            user_properties=will.user_properties,
        )
        self.publish(packet, sender)

    def subscribe(self, session: Session, wanted: TopicFilter) -> tuple[SubAckReasonCode, Subscription | None]:
        """The answer, and the subscription whose retained messages are due after it."""
        try:
            subscription = read_filter(session.client_id, wanted)
        except ValueError:
            return SubAckReasonCode.TOPIC_FILTER_INVALID, None
        known = session.subscriptions.get(wanted.pattern)
        if known:
            self._subscriptions.remove(known)
        session.subscriptions[wanted.pattern] = subscription
        self._subscriptions.add(subscription)
        handling = subscription.retain_handling
        wants_retained = subscription.group is None and (
            handling == RetainHandling.SEND_ALWAYS
            or (handling == RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS and known is None)
        )
        return SubAckReasonCode(int(subscription.max_qos)), subscription if wants_retained else None

    def send_retained(self, subscription: Subscription) -> None:
        kept = Subscriptions()
        kept.add(subscription)
        for topic, publication in list(self._retained.items()):
            if publication.is_expired(self._now):
                del self._retained[topic]
            elif kept.receivers(topic, self._is_connected):
                self._deliver(publication, subscription, retain=True)

    def unsubscribe(self, session: Session, name: str) -> UnsubAckReasonCode:
        subscription = session.subscriptions.pop(name, None)
        if subscription is None:
            return UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED
        self._subscriptions.remove(subscription)
        return UnsubAckReasonCode.SUCCESS

    def attach(self, session: Session, link: Link) -> None:
        session.attach(link, self._now)

    def acknowledged(self, session: Session, packet_id: int) -> None:
        session.acknowledged(packet_id, self._now)

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _is_connected(self, client_id: str) -> bool:
        return self._sessions[client_id].link is not None

    def _deliver(self, publication: Publication, subscription: Subscription, *, retain: bool) -> None:
        qos = min(publication.packet.qos, subscription.max_qos, key=int)
        self._sessions[subscription.client_id].deliver(Delivery(publication, qos, retain), self._now)

    def _retain(self, publication: Publication) -> None:
        """An empty payload takes the retained message away."""
        if publication.packet.payload:
            self._retained[publication.packet.topic] = publication
        else:
            self._retained.pop(publication.packet.topic, None)

    def _keep_record(self, packet: PublishPacket) -> None:
        device = addressee(packet.topic)
        if device and packet.qos == QoS.AT_LEAST_ONCE:
            self.accepted.append(accepted_now(device, packet))

    def _forget(self, session: Session) -> None:
        for subscription in session.subscriptions.values():
            self._subscriptions.remove(subscription)
        del self._sessions[session.client_id]

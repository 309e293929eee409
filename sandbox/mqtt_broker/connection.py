"""One client's connection: packets in, packets out, and the ways in which it ends."""

import asyncio
from uuid import uuid4

import mqtt5
from mqtt5 import (
    ConnAckReasonCode,
    ConnectPacket,
    DisconnectPacket,
    DisconnectReasonCode,
    PingReqPacket,
    PubAckPacket,
    PubAckReasonCode,
    PublishPacket,
    QoS,
    SubAckPacket,
    SubscribePacket,
    UnsubAckPacket,
    UnsubscribePacket,
    Will,
)

from sandbox.mqtt_broker.commands import Fault
from sandbox.mqtt_broker.exchange import Exchange
from sandbox.mqtt_broker.sessions import Session

_KEEP_ALIVE_GRACE = 1.5
"""MQTT's own factor."""
_REFUSALS = {
    Fault.QUOTA: PubAckReasonCode.QUOTA_EXCEEDED,
    Fault.NOT_AUTHORIZED: PubAckReasonCode.NOT_AUTHORIZED,
    Fault.INVALID: PubAckReasonCode.PAYLOAD_FORMAT_INVALID,
}


class Connection(asyncio.Protocol):
    def __init__(self, exchange: Exchange, open_connections: set["Connection"], receive_max: int) -> None:
        self.receive_max = 0
        self._own_receive_max = receive_max
        self._exchange = exchange
        self._open = open_connections
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._session: Session | None = None
        self._will: Will | None = None
        self._keep_alive = 0
        self._silence_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP server's always is
        self._transport = transport
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._expect_more()
        while not self._transport.is_closing() and (packet := self._next_packet()):
            self._take(packet)

    def connection_lost(self, _: Exception | None) -> None:
        self._open.discard(self)
        self._end()

    def write(self, packet: mqtt5.Packet) -> None:
        self._transport.write(packet.write())

    def take_over(self) -> None:
        """Another connection goes on with the session; this one ends, and its last will is sent."""
        session = self._session
        self._session = None
        self.close(DisconnectReasonCode.SESSION_TAKEN_OVER)
        if self._will and session:
            self._exchange.publish_will(self._will, session.client_id)

    def close(self, reason: DisconnectReasonCode) -> None:
        self.write(DisconnectPacket(reason_code=reason))
        self._transport.close()
        self._end()

    def abort(self) -> None:
        """As if the cable were cut."""
        self._transport.abort()
        self._end()

    def _next_packet(self) -> mqtt5.Packet | None:
        try:
            with memoryview(self._buffer) as view:
                packet, length = mqtt5.read(view)
        except IndexError:  # the rest has yet to come
            return None
        except ValueError:
            self._transport.close()
            return None
        del self._buffer[:length]
        return packet

    def _take(self, packet: mqtt5.Packet) -> None:
        session = self._session
        if isinstance(packet, ConnectPacket) and session is None:
            self._connect(packet)
        elif session is None:
            self._transport.close()
        elif isinstance(packet, PublishPacket):
            self._publish(packet, session)
        elif isinstance(packet, PubAckPacket):
            self._exchange.acknowledged(session, packet.packet_id)
        elif isinstance(packet, SubscribePacket):
            self._subscribe(packet, session)
        elif isinstance(packet, UnsubscribePacket):
            codes = [self._exchange.unsubscribe(session, name) for name in packet.patterns]
            self.write(UnsubAckPacket(packet.packet_id, codes))
        elif isinstance(packet, PingReqPacket):
            self.write(mqtt5.PingRespPacket())
        elif isinstance(packet, DisconnectPacket):
            self._disconnect(packet, session)
        else:
            self.close(DisconnectReasonCode.PROTOCOL_ERROR)

    def _connect(self, packet: ConnectPacket) -> None:
        if not self._exchange.admits(packet):
            self.write(mqtt5.ConnAckPacket(reason_code=ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD))
            self._transport.close()
            return
        client_id = packet.client_id or uuid4().hex
        session, present = self._exchange.open_session(client_id, packet)
        self._session, self._will, self.receive_max = session, packet.will, packet.receive_max
        self._keep_alive = packet.keep_alive
        self._expect_more()
        self.write(
            mqtt5.ConnAckPacket(
                session_present=present,
                receive_max=self._own_receive_max,
                assigned_client_id=None if packet.client_id else client_id,
                max_qos=QoS.AT_LEAST_ONCE,
                subscription_id_available=False,
            )
        )
        self._exchange.attach(session, self)

    def _publish(self, packet: PublishPacket, session: Session) -> None:
        if packet.qos == QoS.EXACTLY_ONCE or packet.topic_alias is not None:
            self.close(DisconnectReasonCode.PROTOCOL_ERROR)
            return
        fault = self._exchange.fault_due(packet)
        if fault is Fault.FREEZE:
            return
        reason = _REFUSALS.get(fault) if fault else None
        reason = reason or self._exchange.publish(packet, session.client_id)
        if fault is Fault.CUT:
            self.abort()
        elif packet.packet_id is not None:
            self.write(PubAckPacket(packet.packet_id, reason_code=reason))

    def _subscribe(self, packet: SubscribePacket, session: Session) -> None:
        answers = [self._exchange.subscribe(session, wanted) for wanted in packet.topic_filters]
        self.write(SubAckPacket(packet.packet_id, [code for code, _ in answers]))
        for _, subscription in answers:
            if subscription:
                self._exchange.send_retained(subscription)

    def _disconnect(self, packet: DisconnectPacket, session: Session) -> None:
        if packet.reason_code != DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE:
            self._will = None
        if packet.session_expiry_interval is not None:
            session.expiry_seconds = packet.session_expiry_interval
        self._transport.close()
        self._end()

    def _expect_more(self) -> None:
        if self._silence_timer:
            self._silence_timer.cancel()
        if self._keep_alive:
            patience = self._keep_alive * _KEEP_ALIVE_GRACE
            loop = asyncio.get_running_loop()
            self._silence_timer = loop.call_later(patience, self.close, DisconnectReasonCode.KEEP_ALIVE_TIMEOUT)

    def _end(self) -> None:
        """However it came about; the second time does nothing."""
        if self._silence_timer:
            self._silence_timer.cancel()
        session = self._session
        self._session = None
        if session:
            self._exchange.leave_session(session)
            if self._will:
                self._exchange.publish_will(self._will, session.client_id)

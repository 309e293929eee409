"""A small MQTT 5 broker for tests and the demo, spoken to by real clients over real sockets."""

from sandbox.mqtt_broker.broker import MqttBroker
from sandbox.mqtt_broker.commands import Accepted, Fault

__all__ = ["Accepted", "Fault", "MqttBroker"]

"""Simulated devices: each takes its messages by FCM and MQTT, and acknowledges them in its own way over HTTP."""

from sandbox.devices.device import Answer, Delays, Device, DeviceLog, Received
from sandbox.devices.fleet import DeviceFleet
from sandbox.people import Behaviour

__all__ = ["Answer", "Behaviour", "Delays", "Device", "DeviceFleet", "DeviceLog", "Received"]

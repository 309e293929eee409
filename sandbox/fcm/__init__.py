"""Firebase Cloud Messaging on loopback, for the real firebase-admin client."""

from sandbox.fcm.faults import Fault
from sandbox.fcm.log import AcceptedPush
from sandbox.fcm.simulator import FcmSimulator

__all__ = ["AcceptedPush", "Fault", "FcmSimulator"]

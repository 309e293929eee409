"""Firebase Cloud Messaging, through the official firebase-admin package."""

from channels.fcm.channel import FcmChannel

__all__ = ["FcmChannel"]

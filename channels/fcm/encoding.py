"""One outgoing message as FCM takes it."""

import json
import re
from datetime import timedelta

from firebase_admin import messaging

from channels.interface import MessageRejectedError, Outgoing
from channels.payload import payload

PAYLOAD_LIMIT_BYTES = 4096
_LONGEST_TTL_SECONDS = 28 * 24 * 3600
"""FCM refuses more."""
_INSTALLATION_ID = re.compile(r"[A-Za-z0-9_-]{22}")


def encoded(message: Outgoing, address: str) -> messaging.Message:
    """Raises MessageRejectedError where FCM would refuse it: too large, or not encodable."""
    fields = payload(message)
    title, body = fields.pop("title"), fields.pop("body")
    _check_size(title, body, fields)
    push = messaging.Message(
        notification=messaging.Notification(title=title, body=body),
        data=fields,
        android=_android(message),
        apns=_apns(message),
    )
    # Set, not passed: the constructor warns that tokens go out of use, and silencing a warning is not thread-safe.
    setattr(push, "fid" if _INSTALLATION_ID.fullmatch(address) else "token", address)
    _check_encodable(push)
    return push


def _android(message: Outgoing) -> messaging.AndroidConfig:
    ttl = timedelta(seconds=min(max(message.ttl_seconds, 0), _LONGEST_TTL_SECONDS))
    return messaging.AndroidConfig(ttl=ttl, collapse_key=str(message.dedupe_id))


def _apns(message: Outgoing) -> messaging.APNSConfig:
    expiration = str(int(message.expires_at.timestamp()))
    return messaging.APNSConfig(
        headers={"apns-expiration": expiration, "apns-collapse-id": str(message.dedupe_id)},
    )


def _check_size(title: str, body: str, fields: dict[str, str]) -> None:
    counted = {"notification": {"title": title, "body": body}, "data": fields}
    size = len(json.dumps(counted, ensure_ascii=False, separators=(",", ":")).encode())
    if size > PAYLOAD_LIMIT_BYTES:
        raise MessageRejectedError(
            "PAYLOAD_TOO_LARGE", f"text and data take {size} bytes, FCM takes {PAYLOAD_LIMIT_BYTES}: shorten the text"
        )


def _check_encodable(push: messaging.Message) -> None:
    try:
        str(push)
    except ValueError as error:
        raise MessageRejectedError("NOT_ENCODABLE", f"FCM cannot carry this message: {error}") from error

"""What a device receives, on every channel the same keys (published as the device contract)."""

from channels.interface import Outgoing


def payload(message: Outgoing) -> dict[str, str]:
    """All values are text, since FCM carries nothing else; times are RFC 3339 in UTC with microseconds."""
    fields = {
        **message.data,
        "message_id": str(message.message_id),
        "dedupe_id": str(message.dedupe_id),
        "sent_at": message.sent_at.isoformat(),
        "expires_at": message.expires_at.isoformat(),
        "ack_token": message.ack_token,
        "title": message.title,
        "body": message.body,
    }
    if message.click_url:
        fields["click_url"] = message.click_url
    return fields

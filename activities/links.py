"""The signed parts of a message, made when it is handed over."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.tokens import Signer

LINKS_LAST = timedelta(days=90)


class SignedLinks:
    def __init__(self, signer: Signer, base_url: str) -> None:
        """`base_url` is the API's address as people see it: CAMPAIGN_CLICK_URL."""
        self._signer = signer
        self._base_url = base_url

    def click_url(self, message_id: UUID) -> str:
        return f"{self._base_url}/c/{self._signer.click_token(message_id, datetime.now(UTC) + LINKS_LAST)}"

    def unsubscribe_url(self, message_id: UUID) -> str:
        return f"{self._base_url}/u/{self._signer.unsubscribe_token(message_id)}"

    def ack_token(self, attempt_id: UUID) -> str:
        return self._signer.ack_token(attempt_id)

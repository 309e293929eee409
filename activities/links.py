"""The signed parts of a message, made when it is handed over."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.tokens import Signer

LINKS_LAST = timedelta(days=90)


class SignedLinks:
    def __init__(self, signer: Signer, click_url: str) -> None:
        self._signer = signer
        self._click_url = click_url

    def click_url(self, message_id: UUID) -> str:
        return f"{self._click_url}/c/{self._signer.click_token(message_id, datetime.now(UTC) + LINKS_LAST)}"

    def ack_token(self, attempt_id: UUID) -> str:
        return self._signer.ack_token(attempt_id)

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import firebase_admin
from firebase_admin import credentials, messaging
from firebase_admin.exceptions import FirebaseError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from requests import ConnectionError as BrokenConnectionError
from requests import RequestException, Timeout
from requests.exceptions import ChunkedEncodingError

from channels.fcm.answers import meaning, without
from channels.fcm.encoding import PAYLOAD_LIMIT_BYTES, encoded
from channels.fcm.transport import FCM_ORIGIN, HandOver, handing_over, one_request_session
from channels.interface import (
    ChannelError,
    ChannelFacts,
    NotPermittedError,
    OutcomeUnknownError,
    Outgoing,
    ProviderBusyError,
    Receipt,
)
from domain.hand_over import HAND_OVER_MARGIN, PREPARE_TIMEOUT

PREPARE_SECONDS = PREPARE_TIMEOUT.total_seconds()
"""The whole of one `prepare`; with a send of 8 s that is less than the activity's 15 s."""
BEGIN_SECONDS = HAND_OVER_MARGIN.total_seconds()
"""A request that has not begun by then, connecting included, never leaves: a pause relies on it."""
TOKEN_MARGIN = timedelta(minutes=10)
"""More than google-auth's own margin (3 min 45 s), so that it never refreshes between claim and hand-over."""
IDLE_SECONDS = 50.0
"""A connection unused for longer may have been closed by somebody on the way."""
SENDS_A_SECOND = 10_000.0
"""600,000 a minute and project: https://firebase.google.com/docs/cloud-messaging/throttling-and-quotas."""


class FcmChannel:
    """Push messages to phones. An address is a registration token or a Firebase installation id (22 characters)."""

    name = "fcm"

    def __init__(
        self, credentials_file: Path, *, timeout_seconds: float = 8.0, pool_size: int = 20, app_name: str = "drumbeat"
    ) -> None:
        """Reads the service account's JSON and opens nothing. One `app_name` lives once in a process at a time.

        `pool_size`: as many as threads send at once. Raises NotPermittedError where the file is unusable.
        """
        self.facts = ChannelFacts(
            repeated_as="collapse_key",
            acknowledges=True,
            timeout_seconds=timeout_seconds,
            payload_limit_bytes=PAYLOAD_LIMIT_BYTES,
            per_second=SENDS_A_SECOND,
            cost=Decimal(0),
            currency="USD",
        )
        self._begin_seconds = min(BEGIN_SECONDS, timeout_seconds)
        certificate = _certificate(credentials_file)
        options = {"httpTimeout": (self._begin_seconds, timeout_seconds)}
        self._credentials = certificate.get_credential()
        self._app = firebase_admin.initialize_app(certificate, options, name=app_name)
        self._session = one_request_session(self._app, connections=pool_size)
        # Threads of its own, because nothing else bounds the whole of a send: names, proxy, TLS and a slow answer too.
        self._senders = ThreadPoolExecutor(pool_size, thread_name_prefix=f"{app_name}-fcm")
        self._refreshing = threading.Lock()
        self._answered_at = float("-inf")
        self._closed = False

    def prepare(self) -> None:
        if not self._token_lasts():
            self._bounded(self._refresh)
        if time.monotonic() - self._answered_at > IDLE_SECONDS:
            self._bounded(self._connect)

    def send(self, message: Outgoing, address: str) -> Receipt:
        push = encoded(message, address)
        hand_over = HandOver(self._begin_seconds)
        sending = self._senders.submit(self._send, push, hand_over)
        try:
            return Receipt(provider_id=sending.result(self.facts.timeout_seconds))
        except Exception as error:  # noqa: BLE001 - firebase-admin lets out whatever its reading of an answer meets
            # Without the cause, which may quote the whole address.
            raise _explained(error, hand_over, address) from None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # In a thread, because firebase-admin runs an event loop to close, and the caller may be in one.
        self._senders.submit(firebase_admin.delete_app, self._app).result()
        self._senders.shutdown()
        self._session.close()

    def _send(self, push: messaging.Message, hand_over: HandOver) -> str:
        with handing_over(hand_over):
            provider_id: str = messaging.send(push, app=self._app)
        self._answered_at = time.monotonic()
        return provider_id

    def _connect(self) -> None:
        """Any answer will do: the connection stays in the pool."""
        with handing_over(HandOver(PREPARE_SECONDS)):
            self._session.head(FCM_ORIGIN, timeout=PREPARE_SECONDS / 2, allow_redirects=False)
        self._answered_at = time.monotonic()

    def _token_lasts(self) -> bool:
        expiry = self._credentials.expiry
        return expiry is not None and expiry.replace(tzinfo=UTC) - datetime.now(UTC) > TOKEN_MARGIN

    def _refresh(self) -> None:
        with self._refreshing:
            if not self._token_lasts():
                self._credentials.refresh(partial(Request(), timeout=PREPARE_SECONDS / 2))

    def _bounded(self, step: Callable[[], None]) -> None:
        try:
            self._senders.submit(step).result(PREPARE_SECONDS / 2)
        except GoogleAuthError as error:
            raise _credentials_error(error) from error
        except (RequestException, TimeoutError) as error:
            raise ProviderBusyError(
                "NOT_CONNECTED", f"FCM cannot be reached: {error or 'no answer in time'}"
            ) from error


def _certificate(credentials_file: Path) -> credentials.Certificate:
    try:
        return credentials.Certificate(str(credentials_file))
    except (OSError, ValueError) as error:
        raise NotPermittedError(
            "CREDENTIALS_UNUSABLE", f"the service account's file cannot be used: {error}"
        ) from error


def _explained(error: Exception, hand_over: HandOver, address: str) -> Exception:
    """What to raise for a send without a receipt."""
    if isinstance(error, GoogleAuthError):
        return _credentials_error(error)
    if isinstance(error, FirebaseError) and error.http_response is not None:
        return meaning(error.http_response, address)
    expected = isinstance(error, FirebaseError | TimeoutError)
    text = without(address, str(error)) or "no answer in time"
    if hand_over.call_off():
        # Never the error itself: it may quote the address, and what an activity raises is kept and logged.
        code = "NOT_CONNECTED" if expected else "INTERNAL"
        return ProviderBusyError(code, f"nothing was sent to FCM: {text}")
    return OutcomeUnknownError(_unknown_code(error), f"FCM may have taken it, there was no valid answer: {text}")


def _unknown_code(error: Exception) -> str:
    cause = error.cause if isinstance(error, FirebaseError) else error
    match cause:
        case TimeoutError() | Timeout():
            return "NO_ANSWER"
        case BrokenConnectionError() | ChunkedEncodingError():
            return "CONNECTION_BROKEN"
        case _:
            return "UNREADABLE_ANSWER"


def _credentials_error(error: GoogleAuthError) -> ChannelError:
    if isinstance(error, TransportError) or error.retryable:
        return ProviderBusyError("NO_TOKEN", f"Google's token service cannot be reached: {error}")
    return NotPermittedError("CREDENTIALS_REFUSED", f"Google refuses the service account: {error}")

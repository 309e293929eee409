"""The simulator's HTTP side: one path, checked the way FCM checks it, and the faults on top."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import uuid4

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from pydantic import ValidationError

from sandbox.fcm import answers
from sandbox.fcm.answers import Answer
from sandbox.fcm.faults import Fault, FaultPlan
from sandbox.fcm.log import AcceptedPush, PushLog
from sandbox.fcm.send_request import PAYLOAD_LIMIT_BYTES, Push, SendRequest
from sandbox.fcm.service_account import PROJECT, ServiceAccount

_SEND_PATH = f"/v1/projects/{PROJECT}/messages:send"


class FcmApp:
    """An ASGI application. `cut` breaks the connection that comes from a port."""

    def __init__(self, account: ServiceAccount, faults: FaultPlan, log: PushLog, cut: Callable[[int], None]) -> None:
        self._account = account
        self._faults = faults
        self._log = log
        self._cut = cut
        self.slow_seconds = 2.0
        self.retry_after = "30"

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        arrived_at = datetime.now(UTC)
        answer = self._refused_at_the_door(scope) or await self._answer(body, arrived_at, scope)
        if answer is None:
            await _until_the_client_leaves(receive)
        else:
            await _reply(answer, send)

    def _refused_at_the_door(self, scope: HTTPScope) -> Answer | None:
        if not scope["path"].endswith("/messages:send") or scope["method"] != "POST":
            return answers.NO_SUCH_PAGE
        if scope["path"] != _SEND_PATH:
            return self._counted("no such project", answers.NO_SUCH_PROJECT)
        headers = dict(scope["headers"])
        if not self._account.signed(headers.get(b"authorization", b"").decode("latin-1")):
            return self._counted("unauthenticated", answers.UNAUTHENTICATED)
        return None

    async def _answer(self, body: bytes, arrived_at: datetime, scope: HTTPScope) -> Answer | None:
        """None: the client gets no answer."""
        try:
            request = SendRequest.model_validate_json(body)
        except ValidationError as error:
            return self._counted("malformed", _malformed(error))
        if request.message.payload_bytes > PAYLOAD_LIMIT_BYTES:
            return self._counted("too large", answers.invalid_argument("Android message is too big"))
        if request.validate_only:
            return self._counted("validated", answers.taken(f"projects/{PROJECT}/messages/fake_message_id"))
        return await self._taken_or_failed(request.message, arrived_at, scope)

    async def _taken_or_failed(self, push: Push, arrived_at: datetime, scope: HTTPScope) -> Answer | None:
        fault = self._faults.next_for(push.address)
        self._log.count(fault or "ok")
        if fault is None:
            return self._accept(push, arrived_at)
        if fault is Fault.HANG:
            return None
        if refusal := answers.refused(fault, self.retry_after):
            return refusal
        if fault is Fault.SLOW:
            await asyncio.sleep(self.slow_seconds)
        accepted = self._accept(push, arrived_at)
        if fault is Fault.CUT:
            self._cut(_client_port(scope))
            return None
        if fault is Fault.DRIBBLE:
            return replace(accepted, dribbled_seconds=self.slow_seconds)
        return answers.page(HTTPStatus.OK) if fault is Fault.GARBAGE else accepted

    def _accept(self, push: Push, arrived_at: datetime) -> Answer:
        name = f"projects/{PROJECT}/messages/0:{uuid4().hex}"
        self._log.accept(
            AcceptedPush(
                token=push.address,
                message_id=push.data.get("message_id"),
                dedupe_id=push.data.get("dedupe_id"),
                title=push.notification.title,
                body=push.notification.body,
                data=push.data,
                collapse_key=push.android.collapse_key,
                ttl_seconds=push.android.ttl_seconds,
                apns_headers=push.apns.headers,
                arrived_at=arrived_at,
                name=name,
            )
        )
        return answers.taken(name)

    def _counted(self, outcome: str, answer: Answer) -> Answer:
        self._log.count(outcome)
        return answer


def _malformed(error: ValidationError) -> Answer:
    first = error.errors()[0]
    return answers.invalid_argument(first["msg"], ".".join(str(part) for part in first["loc"]))


def _client_port(scope: HTTPScope) -> int:
    client = scope["client"]
    if client is None:
        raise ValueError("a connection without an address cannot be cut")
    return client[1]


async def _body(receive: ASGIReceiveCallable) -> bytes:
    parts: list[bytes] = []
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return b"".join(parts)
        parts.append(event["body"])
        if not event["more_body"]:
            return b"".join(parts)


async def _until_the_client_leaves(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reply(answer: Answer, send: ASGISendCallable) -> None:
    headers = {
        "content-type": answer.content_type,
        "content-length": str(len(answer.body)),
        **{name.lower(): value for name, value in answer.headers.items()},
    }
    raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw_headers, "trailers": False})
    step = 1 if answer.dribbled_seconds else len(answer.body)
    for start in range(0, len(answer.body), step):
        await asyncio.sleep(answer.dribbled_seconds / len(answer.body))
        part, end = answer.body[start : start + step], start + step
        await send({"type": "http.response.body", "body": part, "more_body": end < len(answer.body)})

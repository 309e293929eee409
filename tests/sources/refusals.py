"""What moto never does, done to a real client's calls: DynamoDB's refusals, and answers that leave keys unread."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse, HTTPHeaders

from tests.sources.lock_rows import KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Refused:
    """Makes a client's calls meet a refusal on their way out."""

    def __init__(self, code: str, status: int, *, refuses: Callable[[int], bool], operation: str = "Scan") -> None:
        self.calls = 0
        self._status = status
        self._code = code
        self._refuses = refuses
        self._operation = operation
        self._lock = threading.Lock()

    def on(self, client: DynamoDBClient) -> DynamoDBClient:
        client.meta.events.register(f"before-send.dynamodb.{self._operation}", self._answer)  # type: ignore[arg-type]  # it may answer
        return client

    def _answer(self, request: Any, **_: object) -> AWSResponse | None:  # noqa: ANN401 - botocore's own
        with self._lock:
            self.calls += 1
            if not self._refuses(self.calls):
                return None
        body = f'{{"__type": "com.amazonaws.dynamodb.v20120810#{self._code}", "message": "slow down"}}'.encode()
        return AWSResponse(request.url, self._status, HTTPHeaders(), _Body(body))


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


class PartlyRead:
    """Leaves all items of a BatchGetItem but the first `reads` unread."""

    def __init__(self, table: str, reads: int) -> None:
        self.calls = 0
        self._table = table
        self._reads = reads

    def on(self, client: DynamoDBClient) -> DynamoDBClient:
        client.meta.events.register("after-call.dynamodb.BatchGetItem", self._cut)
        return client

    def _cut(self, parsed: dict[str, Any], **_: object) -> None:
        self.calls += 1
        items = parsed["Responses"][self._table]
        if left := [{KEY: item[KEY]} for item in items[self._reads :]]:
            parsed["UnprocessedKeys"] = {self._table: {"Keys": left}}
        del items[self._reads :]

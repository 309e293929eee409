"""A DynamoDB with one table of any length, over HTTP: it makes its items from their numbers and keeps none.

Arguments: how many locks, and how many pages it gives before it holds the next ones back (0: it never does) until
somebody posts to /go-on. Its first line is its port.
"""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from sandbox.ports import LOOPBACK
from tests.soak.numbered_locks import KEY, item_of, number_of

Answer = dict[str, Any]


class EndlessTable:
    def __init__(self, locks: int, pages: int) -> None:
        self.go_on = threading.Event()
        self._locks = locks
        self._pages = pages
        self._asked = count(1)

    def describe_table(self, asked: Answer) -> Answer:
        return {
            "Table": {
                "TableName": asked["TableName"],
                "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
                "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            }
        }

    def scan(self, asked: Answer) -> Answer:
        if next(self._asked) > self._pages > 0:
            self.go_on.wait()
        segments, limit = asked["TotalSegments"], asked["Limit"]
        first = number_of(asked["ExclusiveStartKey"][KEY]["S"]) + segments if "ExclusiveStartKey" in asked else None
        numbers = range(asked["Segment"] if first is None else first, self._locks, segments)
        page = [_projected(number, asked) for number in numbers[:limit]]
        more = {"LastEvaluatedKey": {KEY: page[-1][KEY]}} if len(numbers) > limit else {}
        return {"Items": page, "Count": len(page), "ConsumedCapacity": {"CapacityUnits": len(page) / 40}, **more}

    def batch_get_item(self, asked: Answer) -> Answer:
        ((table, wanted),) = asked["RequestItems"].items()
        numbers = [number_of(key[KEY]["S"]) for key in wanted["Keys"]]
        found = [_projected(number, wanted) for number in numbers if number < self._locks]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}


def _projected(number: int, asked: Answer) -> Answer:
    wanted = asked["ExpressionAttributeNames"].values()
    return {name: value for name, value in item_of(number).items() if name in wanted}


def _server(table: EndlessTable) -> ThreadingHTTPServer:
    operations: dict[str, Callable[[Answer], Answer]] = {
        "DescribeTable": table.describe_table,
        "Scan": table.scan,
        "BatchGetItem": table.batch_get_item,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/go-on":
                table.go_on.set()
            operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
            answer = json.dumps(operations[operation](json.loads(asked)) if operation else {}).encode()
            with suppress(ConnectionError):  # whoever asked was killed
                self._answer(answer)

        def _answer(self, answer: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()

        def log_message(self, *_: object) -> None: ...

    return ThreadingHTTPServer((LOOPBACK, 0), Handler)


if __name__ == "__main__":
    server = _server(EndlessTable(*map(int, sys.argv[1:])))
    print(server.server_address[1], flush=True)  # noqa: T201 - whoever started it waits for this
    server.serve_forever()

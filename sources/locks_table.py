"""The customer's table `locks`: pages of it, and single locks by their ids."""

from __future__ import annotations  # the stubs' names exist for mypy alone

import base64
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal, DecimalException
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import DYNAMODB_CONTEXT, TypeDeserializer
from botocore.exceptions import ClientError

from domain.last_check import LastCheck, read_last_check
from sources.capacity import ReadCapacity
from sources.dynamodb import KEY, Calls, LocksTableUnfitError, PutOffError
from sources.segments import Place

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

PAGE_LIMIT = 500
KEYS_IN_A_CALL = 100
"""BatchGetItem takes no more."""
LONGEST_SILENCE_SECONDS = 20.0
"""After that a page that waits for read capacity comes empty, as a sign of life: the snapshot heartbeats with pages."""

_LONGEST_KEY_BYTES = 2048
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(E[-+]?[0-9]+)?")

_Attributes = dict[str, Any]  # as DynamoDB writes them: {"lock_id": {"S": "..."}}


class LocksTable:
    """Reads what it is asked for, in several threads at once, with nothing but the needed attributes.

    Making it asks for its key and its capacity. Raises a LocksUnreadableError, as everything here does.
    """

    def __init__(
        self, client: DynamoDBClient, name: str, last_check_field: str, patience: timedelta, capacity: ReadCapacity
    ) -> None:
        self._client = client
        self._name = name
        self._last_check_field = last_check_field
        self._capacity = capacity
        self._calls = Calls(client, name, patience)
        self.stopped = self._calls.stopped
        self._needed = {
            "ProjectionExpression": "#key, #last_check",
            "ExpressionAttributeNames": {"#key": KEY, "#last_check": last_check_field},
        }
        description = self._description()
        self._kind_of_key = self._fitting_key(description)
        capacity.suit(description)

    def page(self, place: Place) -> tuple[dict[str, LastCheck], Place | None]:
        """Last check by lock, and where to go on: at the same place where there is no capacity left for now."""
        if not self._capacity.wait(self.stopped, LONGEST_SILENCE_SECONDS):
            return {}, place
        answer = self._calls.make(partial(self._client.scan, **self._request(place)))
        self._capacity.spent(_units([answer.get("ConsumedCapacity", {})]))
        checks = dict(map(self._lock, answer["Items"]))
        if last := answer.get("LastEvaluatedKey"):
            return checks, Place(place.segment, place.segments, _key_as_text(last))
        return checks, None

    def checks_of(self, lock_ids: Collection[str]) -> dict[str, LastCheck]:
        """Those that are there, in any order."""
        asked = frozenset(lock_ids)
        keys = _keys(asked, self._kind_of_key)
        found: dict[str, LastCheck] = {}
        for first in range(0, len(keys), KEYS_IN_A_CALL):
            self._capacity.wait(self.stopped, inf)
            found |= self._checks_by_key(keys[first : first + KEYS_IN_A_CALL])
        # A number may be written in several ways: 07 finds the lock 7, which is another id.
        return {lock_id: check for lock_id, check in found.items() if lock_id in asked}

    def _request(self, place: Place) -> dict[str, Any]:
        # No FilterExpression: it saves no capacity, and it would drop what cannot be compared.
        request = {
            "TableName": self._name,
            "Segment": place.segment,
            "TotalSegments": place.segments,
            "Limit": PAGE_LIMIT,
            "ReturnConsumedCapacity": "TOTAL",
            **self._needed,
        }
        return request | ({"ExclusiveStartKey": _key_from_text(place.after)} if place.after else {})

    def _checks_by_key(self, keys: list[_Attributes]) -> dict[str, LastCheck]:
        found: dict[str, LastCheck] = {}

        def read_the_rest() -> None:
            nonlocal keys
            # Not ConsistentRead: it costs twice as much, to see the checks of the last second too.
            wanted: Any = {self._name: {"Keys": keys, **self._needed}}
            answer = self._client.batch_get_item(RequestItems=wanted, ReturnConsumedCapacity="TOTAL")
            self._capacity.spent(_units(answer.get("ConsumedCapacity", [])))
            found.update(self._lock(item) for items in answer["Responses"].values() for item in items)
            keys = [dict(key) for rest in answer["UnprocessedKeys"].values() for key in rest["Keys"]]
            if keys:
                raise PutOffError

        self._calls.make(read_the_rest)
        return found

    def _fitting_key(self, description: TableDescriptionTypeDef | None) -> str:
        """S, N or B. Where we may not ask, the usual one: DynamoDB refuses it if it is not."""
        if description is None:
            return "S"
        key = [each["AttributeName"] for each in description["KeySchema"]]
        if key != [KEY]:
            raise LocksTableUnfitError(self._name, self._calls.where, " and ".join(key))
        kinds = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}
        return kinds[KEY]

    def _description(self) -> TableDescriptionTypeDef | None:
        def describe() -> TableDescriptionTypeDef | None:
            try:
                return self._client.describe_table(TableName=self._name)["Table"]
            except ClientError as error:
                if error.response["Error"]["Code"] == "AccessDeniedException":
                    return None
                raise

        return self._calls.make(describe)

    def _lock(self, item: Mapping[str, Any]) -> tuple[str, LastCheck]:
        if KEY not in item:
            raise LocksTableUnfitError(self._name, self._calls.where, "another one")
        return _id_as_text(item[KEY]), read_last_check(_plain(item.get(self._last_check_field)))


def _units(consumed: Iterable[Mapping[str, Any]]) -> float:
    return sum((float(each.get("CapacityUnits", 0)) for each in consumed), 0.0)


def _plain(attribute: Any) -> object:  # noqa: ANN401 - the stubs keep the deserialiser's type to themselves
    try:
        return None if attribute is None else TypeDeserializer().deserialize(attribute)
    except (ArithmeticError, TypeError):
        return attribute  # a number beyond what DynamoDB knows, or a type of tomorrow: no time, and never fatal


def _id_as_text(attribute: _Attributes) -> str:
    (value,) = attribute.values()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _keys(lock_ids: Iterable[str], kind: str) -> list[_Attributes]:
    """Each once, since DynamoDB refuses a call with one key twice. An id that can be no such key is in no table."""
    values = dict.fromkeys(map(_KEY_FROM_ID[kind], lock_ids))
    return [{KEY: {kind: str(value) if isinstance(value, Decimal) else value}} for value in values if value is not None]


def _bytes_from_id(lock_id: str) -> bytes | None:
    try:
        value = lock_id.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return None
    return value if 0 < len(value) <= _LONGEST_KEY_BYTES else None


def _text_from_id(lock_id: str) -> str | None:
    return lock_id if _bytes_from_id(lock_id) else None


def _number_from_id(lock_id: str) -> Decimal | None:
    try:
        return DYNAMODB_CONTEXT.create_decimal(lock_id) if _NUMBER.fullmatch(lock_id) else None
    except DecimalException:  # more digits, or a greater exponent, than DynamoDB has
        return None


_KEY_FROM_ID: Mapping[str, Callable[[str], object]] = {"S": _text_from_id, "N": _number_from_id, "B": _bytes_from_id}


def _key_as_text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, default=lambda binary: base64.b64encode(binary).decode())


def _key_from_text(text: str) -> _Attributes:
    key: _Attributes = json.loads(text)
    return {
        name: {kind: base64.b64decode(value) if kind == "B" else value for kind, value in attribute.items()}
        for name, attribute in key.items()
    }

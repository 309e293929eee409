import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from requests import Response

from channels.fcm.answers import meaning, retry_after
from channels.fcm.encoding import encoded
from channels.interface import (
    MessageRejectedError,
    ProviderBusyError,
)
from tests.channels.conformance import (
    an_outgoing,
)


@pytest.mark.parametrize(
    ("address", "kind"), [("phone:APA91b", "token"), ("cnXn9tKgTQKoBQ-zRnT_0v", "fid"), ("x" * 23, "token")]
)
def test_an_installation_id_travels_as_such_and_everything_else_as_a_token(address: str, kind: str) -> None:
    assert json.loads(str(encoded(an_outgoing(), address)))[kind] == address


@pytest.mark.parametrize(("ttl_seconds", "on_the_wire"), [(-5, "0s"), (300, "300s"), (99_999_999, "2419200s")])
def test_a_ttl_stays_within_what_fcm_takes(ttl_seconds: int, on_the_wire: str) -> None:
    push = encoded(replace(an_outgoing(), ttl_seconds=ttl_seconds), "phone:1")
    assert json.loads(str(push))["android"]["ttl"] == on_the_wire


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("soon", None), ("-3", None), ("inf", None), ("nan", None), ("", None)],
)
def test_retry_after_is_read_where_it_can_be(header: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after({"Retry-After": later}) == pytest.approx(90, abs=5)
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_a_quota_without_a_time_waits_a_minute() -> None:
    answer = Response()
    answer.status_code = 429
    error = meaning(answer, "phone:1")
    assert isinstance(error, ProviderBusyError)
    assert error.retry_after == 60


def test_a_provider_that_quotes_the_address_does_not_put_it_into_our_text() -> None:
    address = "phone:APA91b-of-an-invented-person"
    answer = Response()
    answer.status_code = 400
    answer._content = json.dumps({"error": {"message": f"{address} is bad", "status": "INVALID_ARGUMENT"}}).encode()
    error = meaning(answer, address)
    assert isinstance(error, MessageRejectedError)
    assert address not in str(error)
    assert "…rson" in error.text

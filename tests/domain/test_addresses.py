"""One spelling for all that reach the same mailbox or telephone: a list's hashes hang on it."""

import pytest

from domain.addresses import BadAddressError, checked
from domain.hashing import AddressHasher
from domain.persons import PERSON

HASHER = AddressHasher(b"a key for tests, and for tests only")
OTHER = AddressHasher(b"another key for tests, no other use")


@pytest.mark.parametrize(
    ("channel", "one", "other"),
    [
        ("email", "Ada@Mail.Example", " ada@mail.example "),
        ("email", "jose\u0301@mail.example", "jos\u00e9@mail.example"),
        ("sms", "+44 7700 900-123", "+447700900123"),
        ("sms", "00447700900123", "+44 (7700) 900.123"),
    ],
)
def test_two_spellings_of_one_address_have_one_hash(channel: str, one: str, other: str) -> None:
    assert HASHER(channel, one) == HASHER(channel, other)
    assert checked(channel, one) == checked(channel, other)


@pytest.mark.parametrize(
    ("channel", "one", "other"),
    [
        ("email", "ada@mail.example", "ida@mail.example"),
        ("email", "ada@mail.example", "ada@mail2.example"),
        ("fcm", "aB", "ab"),
        ("mqtt", "phone-1", "phone-1 "),
        (PERSON, "Ada", "ada"),
    ],
)
def test_what_may_be_two_addresses_has_two_hashes(channel: str, one: str, other: str) -> None:
    assert HASHER(channel, one) != HASHER(channel, other)


def test_a_hash_is_of_its_channel_and_of_its_key() -> None:
    assert HASHER("fcm", "x") != HASHER("mqtt", "x")
    assert HASHER("fcm", "x") != OTHER("fcm", "x")
    assert HASHER.key_id != OTHER.key_id


def test_the_hash_of_a_push_token_is_as_it_always_was() -> None:
    """Lists that are stored hang on it."""
    assert HASHER("fcm", "token-1") == "25eafef80d534e81b0dd609b60d69d7db634ba689e70bdf0fc2b3bf6aec09241"


@pytest.mark.parametrize(
    ("channel", "address", "said"),
    [
        ("emial", "ada@mail.example", "channel: there is no channel 'emial'; use one of fcm, apns, mqtt, email, sms"),
        ("email", "ada", "name@host.example"),
        ("email", "@mail.example", "name@host.example"),
        ("email", "ada@mail. example", "name@host.example"),
        ("sms", "07700 900123", "begin with + and the country's digits"),
        ("sms", "+44", "begin with +"),
        ("sms", "+44770090012345678", "begin with +"),
        ("sms", "+44 ext 12345678", "begin with +"),
        ("fcm", "  ", "it is empty"),
        ("fcm", "a\0b", "cannot be printed"),
        ("fcm", "a\ud800b", "cannot be printed"),
        ("fcm", "x" * 5000, "longer than 4096"),
        (PERSON, "x" * 256, "longer than 255"),
    ],
)
def test_what_cannot_be_an_address_is_refused_with_the_remedy_and_without_the_address(
    channel: str, address: str, said: str
) -> None:
    with pytest.raises(BadAddressError) as refused:
        checked(channel, address)
    assert said in str(refused.value)
    assert "ada" not in str(refused.value)
    assert "7700" not in str(refused.value)

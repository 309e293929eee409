"""A list as a file: whatever program wrote it, each row is taken or refused with its line."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hashing import AddressHasher
from domain.suppression_list import LONGEST_LINE, BadListError, Entry, Refused, export_lines, read_list

HASHER = AddressHasher(b"a key for tests, and for tests only")
OTHER = AddressHasher(b"another key for tests, no other use")


def read(content: bytes) -> list[Entry | Refused]:
    return list(read_list(content.splitlines(keepends=True), HASHER))


def refusals(content: bytes) -> list[tuple[int, str]]:
    return [(each.line, each.why) for each in read(content) if isinstance(each, Refused)]


def test_each_row_is_an_entry_with_the_hash_of_its_address() -> None:
    rows = read(b"channel,address,reason\nemail,Ada@mail.example,complaint\nsms,+44 7700 900123,\n")

    assert rows == [
        Entry(2, "email", HASHER("email", "ada@mail.example"), "complaint"),
        Entry(3, "sms", HASHER("sms", "+447700900123"), "imported"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"channel,address\nemail,ada@mail.example\n",
        b"\xef\xbb\xbfchannel,address\r\nemail,ada@mail.example\r\n",
        b"Channel;Address\nemail;ada@mail.example",
        b"channel\taddress\temail\nEmail\tada@mail.example\tx\n",
        b'"address","channel"\n"ada@mail.example","email"\n',
        b"channel,address\n\n , \nemail, ada@mail.example \n\n",
        b'channel,address,name\nemail,ada@mail.example,"Lovelace, Ada"\n',
    ],
    ids=["plain", "marked and Windows", "semicolons", "tabs", "quoted", "blank lines", "more columns"],
)
def test_a_list_is_understood_as_programs_write_it(content: bytes) -> None:
    [entry] = read(content)
    assert isinstance(entry, Entry)
    assert (entry.channel, entry.address_hash) == ("email", HASHER("email", "ada@mail.example"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_letters_beyond_ascii_are_one_address_in_both_encodings(encoding: str) -> None:
    [entry] = read("channel,address\nemail,zoë@mail.example\n".encode(encoding))
    assert isinstance(entry, Entry)
    assert entry.address_hash == HASHER("email", "zoë@mail.example")


def test_what_is_wrong_with_a_row_is_said_with_its_line_and_the_others_are_taken() -> None:
    content = (
        b"channel,address\n"
        b"email,ada@mail.example\n"
        b"emial,ada@mail.example\n"
        b"email,ada\n"
        b"sms,07700 900123\n"
        b"email\n"
        b'email,"ada@mail.example\n'
        b"email,\n"
        b"fcm,token-1\n"
    )
    rows = read(content)

    assert [each.line for each in rows if isinstance(each, Entry)] == [2, 9]
    said = refusals(content)
    assert [line for line, _ in said] == [3, 4, 5, 6, 7, 8]
    assert [why.split(":")[0] for _, why in said] == [
        "channel",
        "address",
        "address",
        "it has 1 cells, the header has 2",
        "it is not CSV",
        "address",
    ]
    assert not any("ada" in why for _, why in said)


def test_a_bad_reason_is_refused_and_a_providers_code_is_none() -> None:
    content = b"channel,address,reason\nfcm,a,UNREGISTERED\nfcm,b,said so on the phone\n"
    assert [line for line, _ in refusals(content)] == [3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1 must name the columns"),
        (b"ada@mail.example\nida@mail.example\n", "line 1 must name the columns"),
        (b"channel,address,address_hash\n", "line 1 must name the columns"),
        ("channel,address\n".encode("utf-16"), "UTF-16: save it as CSV in UTF-8"),
        (b"channel,address\n" + b"x" * (LONGEST_LINE + 1), "line 2 is longer than"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(content: bytes, said: str) -> None:
    with pytest.raises(BadListError, match=said):
        read(content)


def test_an_exported_list_is_read_back_as_it_was() -> None:
    entry = ("email", HASHER("email", "ada@mail.example"), "unsubscribed", "person", datetime(2026, 11, 21, tzinfo=UTC))

    written = "".join(export_lines([entry], HASHER.key_id)).encode()

    assert b"ada" not in written
    assert read(written) == [Entry(2, *entry[:3])]


def test_hashes_of_another_key_are_refused_since_they_would_match_nobody() -> None:
    entry = ("email", OTHER("email", "ada@mail.example"), "unsubscribed", "person", datetime(2026, 11, 21, tzinfo=UTC))

    [(line, why)] = refusals("".join(export_lines([entry], OTHER.key_id)).encode())

    assert line == 2
    assert "another ADDRESS_HASH_KEY" in why


@given(content=st.binary(max_size=300) | st.text('channel,adres\n";\t0', max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        rows: Iterable[Entry | Refused] = read(b"channel,address\n" + content)
    except BadListError:
        return
    assert all(each.line > 1 for each in rows)

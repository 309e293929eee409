import string
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tokens import CLICK_TOKEN_LENGTH, Signer, TokenExpiredError, TokenForgedError

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)
OLD, NEW = b"o" * 32, b"n" * 32
SIGNER = Signer({1: OLD}, current=1)
ALPHABET = string.ascii_letters + string.digits + "-_"


@given(message_id=st.uuids())
def test_a_link_gives_its_message_back(message_id: UUID) -> None:
    token = SIGNER.click_token(message_id, TOMORROW)

    assert len(token) == CLICK_TOKEN_LENGTH
    assert set(token) <= set(ALPHABET)
    assert SIGNER.read_click_token(token, NOW) == message_id


@given(message_id=st.uuids(), place=st.integers(0, CLICK_TOKEN_LENGTH - 1), letter=st.sampled_from(ALPHABET))
def test_a_link_with_one_letter_changed_is_forged(message_id: UUID, place: int, letter: str) -> None:
    token = SIGNER.click_token(message_id, TOMORROW)
    changed = token[:place] + letter + token[place + 1 :]

    if changed != token:
        with pytest.raises(TokenForgedError):
            SIGNER.read_click_token(changed, NOW)


@given(token=st.text(max_size=80) | st.text(ALPHABET + "=+/", min_size=49, max_size=53))
def test_whatever_is_not_ours_is_forged(token: str) -> None:
    with pytest.raises(TokenForgedError):
        SIGNER.read_click_token(token, NOW)
    with pytest.raises(TokenForgedError):
        SIGNER.check_ack_token(token, uuid4())


def test_a_link_past_its_time_still_says_whose_it_was() -> None:
    message_id = uuid4()
    token = SIGNER.click_token(message_id, NOW)

    with pytest.raises(TokenExpiredError) as expired:
        SIGNER.read_click_token(token, NOW)
    assert expired.value.message_id == message_id
    assert SIGNER.read_click_token(token, NOW - timedelta(seconds=1)) == message_id


def test_a_time_beyond_what_a_link_can_say_is_the_latest_that_it_can() -> None:
    message_id = uuid4()
    token = SIGNER.click_token(message_id, datetime(2200, 1, 1, tzinfo=UTC))

    assert SIGNER.read_click_token(token, datetime(2100, 1, 1, tzinfo=UTC)) == message_id


def test_an_acknowledgement_token_is_good_for_its_own_attempt_alone() -> None:
    attempt_id = uuid4()
    token = SIGNER.ack_token(attempt_id)

    SIGNER.check_ack_token(token, attempt_id)
    with pytest.raises(TokenForgedError):
        SIGNER.check_ack_token(token, uuid4())


def test_a_link_is_never_an_acknowledgement() -> None:
    identity = uuid4()

    with pytest.raises(TokenForgedError):
        SIGNER.check_ack_token(SIGNER.click_token(identity, TOMORROW), identity)
    with pytest.raises(TokenForgedError):
        SIGNER.read_click_token(SIGNER.ack_token(identity), NOW)


def test_one_purpose_never_signs_for_the_other() -> None:
    link, ack = (
        SIGNER._mac(1, purpose, b"the same") for purpose in (b"drumbeat click link", b"drumbeat acknowledgement")
    )

    assert link != ack


def test_a_previous_key_still_reads_and_the_new_one_signs() -> None:
    message_id, attempt_id = uuid4(), uuid4()
    link, ack = SIGNER.click_token(message_id, TOMORROW), SIGNER.ack_token(attempt_id)
    rotated = Signer({1: OLD, 2: NEW}, current=2)

    assert rotated.read_click_token(link, NOW) == message_id
    rotated.check_ack_token(ack, attempt_id)
    with pytest.raises(TokenForgedError):
        SIGNER.read_click_token(rotated.click_token(message_id, TOMORROW), NOW)


def test_a_secret_keeps_its_id_when_another_takes_over() -> None:
    message_id = uuid4()
    link = Signer.of_secrets(OLD).click_token(message_id, TOMORROW)

    assert Signer.of_secrets(NEW, OLD).read_click_token(link, NOW) == message_id
    with pytest.raises(TokenForgedError):
        Signer.of_secrets(NEW).read_click_token(link, NOW)


def test_two_secrets_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same key id"):
        Signer.of_secrets(OLD, OLD)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 32 bytes"):
        Signer({1: b"s" * 31}, current=1)


def test_a_current_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="not among"):
        Signer({1: OLD}, current=2)


def test_a_key_id_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 255"):
        Signer({256: OLD}, current=256)


def test_a_signer_does_not_show_its_secrets() -> None:
    assert "ooo" not in repr(SIGNER)


@given(message_id=st.uuids(), place=st.integers(0, 45), letter=st.sampled_from(ALPHABET))
def test_an_unsubscribe_link_gives_its_message_back_at_any_time_and_forged_ones_give_none(
    message_id: UUID, place: int, letter: str
) -> None:
    token = SIGNER.unsubscribe_token(message_id)
    changed = token[:place] + letter + token[place + 1 :]

    assert len(token) == 46
    assert set(token) <= set(ALPHABET)
    assert SIGNER.read_unsubscribe_token(token) == message_id
    if changed != token:
        with pytest.raises(TokenForgedError):
            SIGNER.read_unsubscribe_token(changed)


def test_an_unsubscribe_link_is_read_with_the_key_before_and_is_no_other_kind_of_token() -> None:
    message_id = uuid4()
    token = SIGNER.unsubscribe_token(message_id)

    assert Signer({1: OLD, 2: NEW}, current=2).read_unsubscribe_token(token) == message_id
    with pytest.raises(TokenForgedError):
        Signer({2: NEW}, current=2).read_unsubscribe_token(token)
    with pytest.raises(TokenForgedError):
        SIGNER.read_click_token(token, NOW)
    for other in (SIGNER.click_token(message_id, TOMORROW), SIGNER.ack_token(message_id)):
        with pytest.raises(TokenForgedError):
            SIGNER.read_unsubscribe_token(other)

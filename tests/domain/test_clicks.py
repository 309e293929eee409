import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clicks import ClickClass, classify

PHONE = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile Safari/537.36"
)


def test_a_phone_that_follows_a_link_is_a_person() -> None:
    assert classify("GET", {"Accept": "text/html"}, PHONE, 40) is ClickClass.PERSON


@pytest.mark.parametrize(
    "agent", [None, "", "okhttp/5.1.0", "Dart/3.5 (dart:io)", "LockApp/7 CFNetwork/1568", "CUBOT_X18"]
)
def test_an_application_that_opens_a_link_itself_is_a_person(agent: str | None) -> None:
    assert classify("GET", {}, agent, None) is ClickClass.PERSON


def test_asking_for_the_headers_only_is_a_probe() -> None:
    assert classify("HEAD", {}, PHONE, 40) is ClickClass.PROBE


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Sec-Purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "Prefetch"),
    ],
)
def test_a_browser_that_fetches_ahead_is_a_prefetch(header: str, value: str) -> None:
    assert classify("GET", {header: value}, PHONE, 40) is ClickClass.PREFETCH


@pytest.mark.parametrize(
    "agent",
    [
        "WhatsApp/2.25.1 A",
        "TelegramBot (like TwitterBot)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    ],
)
def test_a_messenger_that_draws_a_preview_is_a_preview(agent: str) -> None:
    assert classify("GET", {}, agent, 40) is ClickClass.PREVIEW


@pytest.mark.parametrize(
    "agent",
    [
        "curl/8.5.0",
        "python-requests/2.32.3",
        "Go-http-client/2.0",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/142.0 Safari/537.36",
        "Mozilla/5.0 (compatible; BarracudaCentral)",
    ],
)
def test_a_machine_that_says_so_is_a_scanner(agent: str) -> None:
    assert classify("GET", {}, agent, 40) is ClickClass.SCANNER


@pytest.mark.parametrize(
    ("seconds", "limit", "expected"),
    [
        (2.9, 3.0, ClickClass.TOO_FAST),
        (3.0, 3.0, ClickClass.PERSON),
        (-1.0, 3.0, ClickClass.TOO_FAST),
        (0.0, 0.0, ClickClass.PERSON),
        (None, 3.0, ClickClass.PERSON),
    ],
)
def test_nobody_reads_a_message_faster_than_the_limit(
    seconds: float | None, limit: float, expected: ClickClass
) -> None:
    assert classify("GET", {}, PHONE, seconds, too_fast_seconds=limit) is expected


@given(
    method=st.sampled_from(["GET", "HEAD", "get", "POST"]),
    headers=st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5),
    agent=st.none() | st.text(max_size=300),
    seconds=st.none() | st.floats(),
)
def test_every_hit_has_a_class(method: str, headers: dict[str, str], agent: str | None, seconds: float | None) -> None:
    assert classify(method, headers, agent, seconds) in ClickClass

"""Whether a hit on a link is a person's. Every hit is stored with its class; only a person's counts."""

import re
from collections.abc import Mapping
from enum import StrEnum

TOO_FAST_SECONDS = 3.0
"""Scanners open a link as soon as it arrives; nobody reads a message in less."""


class ClickClass(StrEnum):
    PERSON = "person"
    SCANNER = "scanner"
    PREFETCH = "prefetch"
    PREVIEW = "preview"
    PROBE = "probe"
    """Asked for the headers only."""
    TOO_FAST = "too_fast"
    EXPIRED = "expired"
    """On a link of ours that is past its time, whoever it was."""


_PREFETCH_WORDS = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")

# Only what calls itself so. An application's own HTTP client (okhttp, Dart, CFNetwork) stays a person: phones open
# links in the historical form with it.
_PREVIEWS = re.compile(
    r"facebookexternalhit|facebookcatalog|^whatsapp/|telegrambot|slackbot|slack-imgproxy|twitterbot|linkedinbot"
    r"|discordbot|skypeuripreview|microsoftpreview|bingpreview|googleimageproxy|yahoomailproxy|redditbot|pinterestbot"
    r"|viber|vkshare|embedly|iframely|line-poker|snap url preview|mastodon/|google-pagerenderer",
    re.IGNORECASE,
)
_SCANNERS = re.compile(
    r"(?<!cu)bot\b|crawler|spider|scanner|headless|phantomjs|^curl/|^wget|python|go-http-client|^java/|libwww-perl"
    r"|apache-httpclient|node-fetch|^axios/|^node$|scrapy|barracuda|proofpoint|mimecast|forcepoint|symantec|trendmicro"
    r"|trend micro|zscaler|sophos|fireeye|cloudmark|ironport|safelinks|urlscan|virustotal|nessus|nmap|censys|zgrab"
    r"|masscan|google-safety|googleother|google-read-aloud|bitdefender|avast|ms-office|lighthouse",
    re.IGNORECASE,
)


def classify(
    method: str,
    headers: Mapping[str, str],
    user_agent: str | None,
    seconds_since_sent: float | None,
    *,
    too_fast_seconds: float = TOO_FAST_SECONDS,
) -> ClickClass:
    """The class of one hit; `seconds_since_sent` is None where the message or its time is not known.

    Header names are compared in lower case.
    """
    agent = user_agent or ""
    if method.upper() == "HEAD":
        return ClickClass.PROBE
    if _is_prefetch(headers):
        return ClickClass.PREFETCH
    if _PREVIEWS.search(agent):
        return ClickClass.PREVIEW
    if _SCANNERS.search(agent):
        return ClickClass.SCANNER
    if seconds_since_sent is not None and seconds_since_sent < too_fast_seconds:
        return ClickClass.TOO_FAST
    return ClickClass.PERSON


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    lowered = {name.lower(): value for name, value in headers.items()}
    return any(_PREFETCH_WORDS.search(lowered.get(name, "")) for name in _PREFETCH_HEADERS)

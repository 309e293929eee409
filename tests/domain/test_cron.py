import pytest

from domain.cron import schedule_words


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 9 * * MON", "every Monday at 09:00 UTC"),
        ("0 9 * * 1", "every Monday at 09:00 UTC"),
        ("5  17 * * fri", "every Friday at 17:05 UTC"),
        ("30 0 * * 0", "every Sunday at 00:30 UTC"),
        ("30 0 * * 7", "every Sunday at 00:30 UTC"),
        ("0 9 * * *", "every day at 09:00 UTC"),
        ("0 9 1 * *", "by the cron schedule 0 9 1 * *, UTC"),
        ("0 9 * * MON-FRI", "by the cron schedule 0 9 * * MON-FRI, UTC"),
        ("0 9 * * XYZ", "by the cron schedule 0 9 * * XYZ, UTC"),
        ("99 9 * * MON", "by the cron schedule 99 9 * * MON, UTC"),
        ("@weekly", "by the cron schedule @weekly, UTC"),
    ],
)
def test_a_schedule_is_said_in_words_where_words_are_exact(cron: str, words: str) -> None:
    assert schedule_words(cron, "UTC") == words

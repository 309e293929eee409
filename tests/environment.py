"""The environment of a program under test: what a test says, and nothing of the machine that it runs on."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

DATABASE_PASSWORD = "between-us-alone"
COMPLETE = {
    "DATABASE_URL": f"postgresql://drumbeat:{DATABASE_PASSWORD}@127.0.0.1:5432/drumbeat",
    "SIGNING_SECRET": "signing-secret-of-a-test-" + "s" * 32,
    "ADDRESS_HASH_KEY": "address-hash-key-of-a-test-" + "h" * 32,
    "CAMPAIGN_CLICK_URL": "https://click.example",
}
"""All that must be set."""


def environment(values: Mapping[str, str]) -> AbstractContextManager[object]:
    return patch.dict("os.environ", {"PATH": "/usr/bin:/bin", **values}, clear=True)


@contextmanager
def alone(folder: Path, values: Mapping[str, str]) -> Iterator[None]:
    """In this folder, where no .env and no embedded stack of somebody's is."""
    with pytest.MonkeyPatch.context() as patches, environment(values):
        patches.chdir(folder)
        yield

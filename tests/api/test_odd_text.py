"""Text that PostgreSQL cannot hold, and other odd text, wherever an address takes some: never a fault of ours."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from tests.api.rows import add_sent_message


@pytest.mark.parametrize("odd", ["\x00", "a\x00b", "x" * 5000, "a/b c", "<b>", "9" * 40], ids=ascii)
def test_odd_text_in_a_query_is_refused_or_finds_nothing(api: TestClient, engine: Engine, odd: str) -> None:
    sent = add_sent_message(engine)
    known = {"reference": str(sent.run_id), "message_id": str(sent.message_id), "name": "lock_battery"}
    asked = list(_questions(api.get("/openapi.json").json()["paths"], known))
    assert len(asked) > 20
    for path, name in asked:
        assert api.get(path, params={name: odd}).status_code < 500, (path, name)


def test_odd_text_in_a_path_is_refused_or_finds_nothing(api: TestClient) -> None:
    for path in api.get("/openapi.json").json()["paths"]:
        assert api.get(path.replace("{", "%00").replace("}", "")).status_code < 500, path


def _questions(paths: dict[str, Any], known: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each piece of a query that some GET takes."""
    for path, operations in paths.items():
        for each in operations.get("get", {}).get("parameters", []):
            if each["in"] == "query":
                yield path.format_map({**dict.fromkeys(("token", "person"), "x"), **known}), each["name"]

"""What the SQL of a process costs, statement by statement, as its threads see it: with the round trip."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, event

_TOLD_APART_BY = 70
"""Characters of a statement; what follows is columns."""


class StatementCost(BaseModel):
    count: float = 0
    seconds: float = 0.0


class Statements:
    """Slows its process down a little: a round that counts is not one that is timed."""

    def __init__(self) -> None:
        self.costs: dict[str, StatementCost] = {}
        self._watching = False
        self._lock = threading.Lock()
        self._begun = threading.local()

    @property
    def watching(self) -> bool:
        return self._watching

    def watch(self, engine: Engine) -> None:
        self._watching = True
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engine.pool, "checkout", lambda *_: self._add("(connection taken, with its ping)", 0.0))
        for word in ("commit", "rollback"):
            setattr(engine.dialect, f"do_{word}", self._timed(f"({word})", getattr(engine.dialect, f"do_{word}")))

    def _before(self, *_: object) -> None:
        self._begun.at = time.perf_counter()

    def _after(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self._add(kind_of(statement), time.perf_counter() - self._begun.at)

    def _timed(self, kind: str, call: Callable[[Any], None]) -> Callable[[Any], None]:
        def timed(connection: Any) -> None:  # noqa: ANN401 - the driver's own
            began = time.perf_counter()
            call(connection)
            self._add(kind, time.perf_counter() - began)

        return timed

    def _add(self, kind: str, seconds: float) -> None:
        with self._lock:
            cost = self.costs.setdefault(kind, StatementCost())
            cost.count += 1
            cost.seconds += seconds


def per_message(messages: int, *costs: Mapping[str, StatementCost]) -> dict[str, StatementCost]:
    """Of several processes together, for one message, the dearest first."""
    together: dict[str, StatementCost] = {}
    for kind, cost in chain.from_iterable(each.items() for each in costs):
        so_far = together.setdefault(kind, StatementCost())
        so_far.count += cost.count / messages
        so_far.seconds += cost.seconds / messages
    return dict(sorted(together.items(), key=lambda item: -item[1].seconds))


def kind_of(statement: str) -> str:
    """Its verb, its tables and what it asks by: enough to find it in the code."""
    flat = re.sub(r"\s+", " ", statement.replace("drumbeat.", ""))
    found = re.match(r"(?i)(select|insert into|update|delete from) (\w+)", flat)
    if found is None:
        return flat[:_TOLD_APART_BY]
    if found[1].lower() == "select":
        return _kind_of_question(flat)
    changed = re.findall(r"(\w+)=", flat.split(" WHERE ")[0])
    return f"{found[0]}{' set ' + ', '.join(changed) if changed else ''}"[:_TOLD_APART_BY]


def _kind_of_question(flat: str) -> str:
    tables = re.findall(r"(?:FROM|JOIN) (\w+)", flat)
    if not tables:
        return flat[:_TOLD_APART_BY]
    asked = re.search(r"WHERE (.*)", flat)
    columns = re.findall(r"\w+\.(\w+)", asked[1]) if asked else []
    return f"select from {', '.join(dict.fromkeys(tables))} by {', '.join(dict.fromkeys(columns))}"[:_TOLD_APART_BY]

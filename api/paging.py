"""Lists come in pages; each names the address of the next one."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request

PAGE_AT_MOST = 500

PageSize = Annotated[int, Query(ge=1, le=PAGE_AT_MOST)]


def next_page(request: Request, more: Mapping[str, object] | None) -> str | None:
    """`more` is what the next page's query says; None: this page is the last."""
    if more is None:
        return None
    return f"{request.url.path}?{urlencode({name: value for name, value in more.items() if value is not None})}"

"""The few pages that people see."""

from functools import cache
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

PAGES = Path(__file__).parent / "pages"
ASSETS = PAGES / "assets"


def page(name: str, status: int = 200, **shown: object) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(name).render(**shown), status)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

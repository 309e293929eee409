"""How a run is named on the command line."""

from typing import Annotated

import typer

RunReference = Annotated[str, typer.Argument(help="Its id, the beginning of it, or campaign-slot.")]

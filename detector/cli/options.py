"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path | None, typer.Option("--config", help="The file; else the usual places.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, newest first.")]
SECONDS_MAX = 366 * 86_400  # of an option that is a length of time

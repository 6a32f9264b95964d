"""Tree: saved state. What every stateful thing gives a checkpoint and takes back; store/snapshot.py writes it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Leaf: TypeAlias = "bool | int | float | str | bytes | npt.NDArray[np.generic] | None"
Tree: TypeAlias = "Leaf | list[Tree] | dict[str, Tree]"
State: TypeAlias = "dict[str, Tree]"

"""How sure a search is of each token of a text, from 0 to 1."""

from __future__ import annotations

import math

from grukit.ops.ctc.contract import Found


def confidences(found: list[Found], rank: int) -> tuple[float, ...]:
    """For each token of a text that was found its chance where it is the likeliest."""
    return tuple(math.exp(peak) for peak in found[rank].peaks)

"""How the cells are called where people read."""

from __future__ import annotations

NAMES = {
    "rnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "gru_before": "GRU (reset before)",
    "mingru": "minGRU",
    "gru_d": "GRU-D",
}


def with_article(cell: str) -> str:
    """The name as a sentence begins with it.

    >>> with_article("lstm")
    'An LSTM'
    """
    return f"{'An' if cell in ('rnn', 'lstm') else 'A'} {NAMES[cell]}"

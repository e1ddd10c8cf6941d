"""BLEU and chrF of translations, as sacreBLEU computes them (Post 2018, arXiv:1804.08771)."""

from __future__ import annotations

from collections.abc import Sequence

from grukit.core.extras import require


def translation_metrics(
    texts: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """By name the metrics of texts beside as many references, from 0 to 100, and their signatures.

    >>> metrics, signatures = translation_metrics(["A dog runs on the grass."],
    ...                                           ["a dog runs on the grass."])
    >>> {name: round(value, 1) for name, value in metrics.items()}
    {'bleu': 80.9, 'bleu_lowercase': 100.0, 'chrf': 93.9}
    """
    library = require("sacrebleu.metrics")
    measures = {
        "bleu": library.BLEU(),
        "bleu_lowercase": library.BLEU(lowercase=True),
        "chrf": library.CHRF(),
    }
    values, signatures = {}, {}
    for name, measure in measures.items():
        values[name] = float(measure.corpus_score(list(texts), [list(references)]).score)
        signatures[name] = str(measure.get_signature())
    return values, signatures

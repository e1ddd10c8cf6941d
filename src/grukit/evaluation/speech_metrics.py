"""Errors of transcripts by jiwer, as others count them.

Texts are compared as they are written: case, punctuation and composed or decomposed accents count.
Runs of white space are one space, and none counts at the ends.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.extras import require
from grukit.results.scores import Score
from grukit.results.speech_evaluation import Confusion, Edits, SpeechEvaluation

_MOST_CONFUSIONS = 20


def word_edits(texts: Sequence[str], references: Sequence[str]) -> Edits:
    """The errors of texts beside as many references, in words.

    >>> edits = word_edits(["one too", "for"], ["one two three", "for you"])
    >>> edits, edits.rate
    (Edits(hits=2, substitutions=1, deletions=2, insertions=0), 0.6)
    """
    return _edits(_words(texts, references))


def character_edits(texts: Sequence[str], references: Sequence[str]) -> Edits:
    """The same in characters, spaces among them."""
    return _edits(require("jiwer").process_characters(*_plain(texts, references)))


def confusions(texts: Sequence[str], references: Sequence[str]) -> tuple[Confusion, ...]:
    """The 20 words most often taken for others, most frequent first, then by the alphabet.

    >>> confusions(["one too", "too"], ["one two", "two"])
    (Confusion(said='two', heard='too', count=2),)
    """
    aligned = _words(texts, references)
    counts: Counter[tuple[str, str]] = Counter()
    rows = zip(aligned.alignments, aligned.references, aligned.hypotheses, strict=True)
    for chunks, said, heard in rows:
        for chunk in chunks:
            if chunk.type == "substitute":
                pair = (
                    said[chunk.ref_start_idx : chunk.ref_end_idx],
                    heard[chunk.hyp_start_idx : chunk.hyp_end_idx],
                )
                counts.update(zip(*pair, strict=True))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(*pair, count) for pair, count in ranked[:_MOST_CONFUSIONS])


def right_words(text: str, reference: str) -> list[tuple[int, int]]:
    """The places of words of a text, and those of the same words in its reference.

    >>> right_words("a dog well barks", "the dog barks")
    [(1, 1), (3, 2)]
    """
    (chunks,) = _words([text], [reference]).alignments
    return [
        pair
        for chunk in chunks
        if chunk.type == "equal"
        for pair in zip(
            range(chunk.hyp_start_idx, chunk.hyp_end_idx),
            range(chunk.ref_start_idx, chunk.ref_end_idx),
            strict=True,
        )
    ]


def speech_evaluation(
    name: str,
    texts: Sequence[str],
    references: Sequence[str],
    most_frequent: str,
    seconds: float = math.nan,
    took: float = math.nan,
) -> SpeechEvaluation:
    """A model's transcripts beside the baselines.

    name: of the model. most_frequent: the transcript that its training had most often.
    seconds: of all recordings. took: seconds that the model computed.

    Raises DataError where there is nothing to compare, ParameterError for another number of texts
    than references, and MissingExtra without jiwer.
    """
    if not references:
        raise DataError("the data must have at least one recording with a transcript, got none")
    rivals = {
        name: texts,
        "most frequent transcript": [most_frequent] * len(references),
        "nothing said": [""] * len(references),
    }
    scores = []
    for rival, said in rivals.items():
        rates = {
            "wer": word_edits(said, references).rate,
            "cer": character_edits(said, references).rate,
        }
        scores.append(Score(rival, rates))
    return SpeechEvaluation(
        tuple(scores),
        words=word_edits(texts, references),
        characters=character_edits(texts, references),
        confusions=confusions(texts, references),
        utterances=len(references),
        empty_references=sum(not reference.strip() for reference in references),
        seconds=seconds,
        real_time_factor=took / seconds if seconds > 0 else math.nan,
    )


def _words(texts: Sequence[str], references: Sequence[str]):
    return require("jiwer").process_words(*_plain(texts, references))


def _plain(texts: Sequence[str], references: Sequence[str]) -> tuple[list[str], list[str]]:
    """References and texts, as jiwer takes them."""
    if len(texts) != len(references):
        wanted = f"as many as references ({len(references):,})"
        raise ParameterError(must_be("texts", wanted, len(texts)))
    reference, text = ([" ".join(own.split()) for own in side] for side in (references, texts))
    return reference, text


def _edits(output) -> Edits:
    return Edits(output.hits, output.substitutions, output.deletions, output.insertions)

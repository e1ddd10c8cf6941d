"""How the best translation is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grukit.core.rules import Rule, check, integer, number

_RULES = {
    "beam": integer(at_least=1),
    "length_penalty": number(at_least=0),
    "glossary": Rule(
        "phrases with what they become, none of them empty",
        lambda terms: (
            isinstance(terms, Mapping)
            and all(isinstance(t, str) and t.strip() for pair in terms.items() for t in pair)
        ),
    ),
}


@dataclass(frozen=True)
class Search:
    """The rules of a search for translations.

    >>> Search(beam=1)
    Search(beam=1, length_penalty=1.0, glossary={})

    beam: how many candidates are followed side by side, and handed out; 1 takes the likeliest token
        each time.
    length_penalty: the higher, the longer translations may be; see
        `grukit.decoding.beam.beam_search`.
    glossary: words or phrases of the source language, in small letters or capitals, with what a
        translation must contain where its text has them.
    """

    beam: int = 5
    length_penalty: float = 1.0
    glossary: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(vars(self), _RULES)

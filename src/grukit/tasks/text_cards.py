"""The model cards of the tasks on text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grukit import __version__

if TYPE_CHECKING:
    from grukit.tasks.generation import TextGenerator


def generator_card(model: TextGenerator) -> str:
    """The card of a language model just trained."""
    parameters = sum(parameter.numel() for parameter in model.network_.parameters())
    scores = "It was not validated."
    if model.validation_ is not None:
        scores = (
            f"On {model.validation_.characters:,} characters at the end of the text, which "
            f"training stopped by:\n\n```text\n{model.validation_.table()}\n```"
        )
    return f"""\
# A writer of text

A {model.cell.upper()} of {parameters:,} parameters that goes on from a text, token by token
({model.tokenizer_.kind}, {len(model.tokenizer_):,} tokens). Written by grukit {__version__}.

## Data

{int(model.counts_.sum()):,} tokens, {len(model.history_)} epochs.

## Scores

{scores}

## Limits

It knows which tokens tend to follow which, and nothing of what is true. It may repeat what it was
trained on, word for word.

## Use

```python
from grukit import TextGenerator

model = TextGenerator.load("this folder")
print(model.generate("Once", length=200))
```
"""

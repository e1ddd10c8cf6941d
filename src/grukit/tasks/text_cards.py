"""The model cards of the tasks on text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grukit import __version__
from grukit.results.cells import NAMES, with_article

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier
    from grukit.tasks.generation import TextGenerator
    from grukit.tasks.translation import Translator


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

{with_article(model.cell)} of {parameters:,} parameters that goes on from a text, token by token
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


def classifier_card(model: TextClassifier) -> str:
    """The card of a classifier just trained."""
    parameters = sum(parameter.numel() for parameter in model.network_.parameters())
    names = model.classes_.tolist()
    shown = [
        f"| {name} | {share:.1%} |"
        for name, share in list(zip(names, model.shares_.tolist(), strict=True))[:50]
    ]
    rest = f"\n\nand {len(names) - 50} more." if len(names) > 50 else ""
    scores = "It was not validated, so that its chances are as the network has them."
    if model.validation_ is not None:
        scores = (
            f"On {model.validation_.texts:,} texts that it did not learn, but that training "
            f"stopped by and the temperature {model.temperature_:.3g} is from:\n\n"
            f"```text\n{model.validation_.table()}\n```"
        )
    several = "any number" if model.multilabel_ else "one"
    before = ""
    if model.unlabelled_:
        before = f"\n\nBefore, it learned to foretell {model.unlabelled_:,} texts without labels."
    return f"""\
# A judge of texts

A bidirectional {NAMES[model.cell]} with attention, of {parameters:,} parameters, that gives each
text {several} of {len(names)} classes ({model.tokenizer_.kind}, {len(model.tokenizer_):,} tokens).
Written by grukit {__version__}.

## Classes

| class | share of the training texts |
| --- | --- |
{chr(10).join(shown)}{rest}{before}

## Scores

{scores}

## Limits

It knows words from its training texts alone, and may take a name for a judgement. On texts of
another kind its chances may be far from what comes true.

## Use

```python
from grukit import TextClassifier

model = TextClassifier.load("this folder")
print(model.classify(["a text"]))
```
"""


def translator_card(model: Translator) -> str:
    """The card of a translator just trained."""
    parameters = sum(p.numel() for network in model.network_ for p in network.parameters())
    networks = f"{len(model.network_)} networks" if len(model.network_) > 1 else "A network"
    scores = "It was not validated."
    if model.validation_ is not None:
        scores = (
            f"On {model.validation_.sentences:,} pairs that training stopped by:\n\n"
            f"```text\n{model.validation_.table()}\n```\n\n"
            + "\n".join(f"- {n}: `{s}`" for n, s in model.validation_.signatures.items())
        )
    return f"""\
# A translator

{networks} of {parameters:,} parameters: a bidirectional {NAMES[model.cell]} reads, a decoder with
{model.attention} attention writes ({model.tokenizer_.kind}, {len(model.tokenizer_):,} tokens for
both languages). Written by grukit {__version__}.

## Data

{model.learned_:,} pairs of texts, {len(model.history_)} epochs; {model.skipped_:,} more were left
out, empty on one side or longer than {model.max_tokens} tokens.

## Scores

{scores}

## Limits

It translates texts like those that it has learned; of others, and of words that it has never seen,
it may make something fluent and wrong. Texts of more than {model.longest_} tokens are translated in
parts.

## Use

```python
from grukit import Translator

model = Translator.load("this folder")
print(model.translate("a text"))
```
"""

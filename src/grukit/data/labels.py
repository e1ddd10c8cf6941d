"""Labels of texts as targets of a classifier, and how to set some aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grukit.core.errors import DataError, must_be

_KINDS = (bool, str, int, float)


@dataclass(frozen=True)
class Classes:
    """The classes that a classifier has learned, and whether a text may have several.

    >>> classes = Classes.learn(["bad", "good", "bad"])
    >>> classes.targets(["good", "bad"])
    array([1, 0])
    >>> Classes.learn([["cheap"], ["good", "cheap"], []]).targets([["good"], []])
    array([[0., 1.],
           [0., 0.]], dtype=float32)

    names: all str, bool, int or float, sorted.
    multilabel: a text has any number of classes, in the place of exactly one.
    """

    names: tuple[Any, ...]
    multilabel: bool

    @classmethod
    def learn(cls, labels: Any, separator: str | None = None) -> Classes:
        """The classes of labels as they come.

        labels: one for each text; or a list of them for each text; or a matrix of 0 and 1 [N, C].
        separator: what stands between the labels of one text, where they come as one str.

        Raises DataError for a missing label, labels of several kinds, and where there is nothing
        to tell apart.
        """
        if _is_matrix(labels):
            names = tuple(range(np.asarray(labels).shape[1]))
            found = cls(names, multilabel=True)
            found.targets(labels)
            return found
        own = [_plain(label, at, separator) for at, label in enumerate(labels, 1)]
        several = {isinstance(label, tuple) for label in own}
        if len(several) > 1:
            raise DataError("labels must be all lists or all single ones, got both")
        multilabel = several == {True}
        seen = [one for label in own for one in label] if multilabel else own
        kinds = sorted({type(one).__name__ for one in seen})
        if len(kinds) > 1:
            raise DataError(f"labels must be all of one type, got {' and '.join(kinds)}")
        names = tuple(sorted(set(seen)))
        if kinds == ["float"] and any(name != round(name) for name in names):
            wanted = "classes, as whole numbers or names are"
            raise DataError(must_be("labels", wanted, next(n for n in names if n != round(n))))
        if len(names) < (1 if multilabel else 2):
            wanted = "of at least one class" if multilabel else "of at least two classes"
            raise DataError(must_be("labels", wanted, list(names)))
        return cls(names, multilabel)

    def targets(self, labels: Any, separator: str | None = None) -> np.ndarray:
        """The place of each label among the names, int64 [N].

        Of several for a text 0 and 1, float32 [N, C]. Raises DataError for a label that was not
        learned.
        """
        if _is_matrix(labels):
            return self._of_matrix(np.asarray(labels))
        place = {name: at for at, name in enumerate(self.names)}
        rows = [_plain(label, at, separator) for at, label in enumerate(labels, 1)]
        for at, row in enumerate(rows, 1):
            if isinstance(row, tuple) != self.multilabel:
                wanted = "a list of labels" if self.multilabel else "one label"
                raise DataError(must_be(f"label {at:,}", wanted, labels[at - 1]))
            for name in row if self.multilabel else (row,):
                if name not in place:
                    raise DataError(must_be(f"label {at:,}", f"one of {_few(self.names)}", name))
        if not self.multilabel:
            return np.array([place[row] for row in rows], np.int64)
        targets = np.zeros((len(rows), len(self.names)), np.float32)
        for target, row in zip(targets, rows, strict=True):
            target[[place[name] for name in row]] = 1
        return targets

    def named(self, answers: np.ndarray) -> list[Any]:
        """The name that each target stands for, the inverse of `targets`; or a tuple of names."""
        if not self.multilabel:
            return [self.names[at] for at in answers]
        names = np.array(self.names, object)
        return [tuple(names[row > 0]) for row in answers]

    def right(self, answers: np.ndarray, labels: Any, separator: str | None = None) -> np.ndarray:
        """Whether each answer is the label, bool [N]; to one that was not learned none is."""
        if _is_matrix(labels):
            return (answers == self.targets(labels)).all(axis=1)
        true = [_plain(label, at, separator) for at, label in enumerate(labels, 1)]
        pairs = zip(self.named(answers), true, strict=True)
        if self.multilabel:
            return np.array([set(said) == set(names) for said, names in pairs])
        return np.array([said == name for said, name in pairs])

    def _of_matrix(self, matrix: np.ndarray) -> np.ndarray:
        wanted = f"a matrix of 0 and 1 with {len(self.names)} columns"
        if not self.multilabel or matrix.shape[1] != len(self.names):
            wanted = wanted if self.multilabel else "one for each text"
            raise DataError(must_be("labels", wanted, f"one of shape {matrix.shape}"))
        if not np.isin(matrix, (0, 1)).all():
            raise DataError(must_be("labels", wanted, np.setdiff1d(matrix, (0, 1)).tolist()[0]))
        return matrix.astype(np.float32)


def held_out(targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The items to learn from, and about a share of them for validation, by chance: int64 each.

    targets: int64 [N], of which each class is shared out alike; or 0 and 1 [N, C]. No class is
    without an item to learn from. DataError where that leaves nothing for validation.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(targets))
    if targets.ndim == 1:
        # Each class in a random order, its items spread evenly over [0, 1): a stratified sample.
        place = np.empty(len(targets))
        for own in np.unique(targets):
            items = order[targets[order] == own]
            place[items] = (np.arange(len(items)) + random.random()) / len(items)
            place[items[-1]] = 1.0
        order = np.argsort(place, kind="stable")
    count = max(1, round(share * len(targets)))
    judged, learned = order[:count], order[count:]
    missing = _left_out(targets, learned)
    while len(missing):
        has = (
            targets[judged] == missing[0] if targets.ndim == 1 else targets[judged, missing[0]] > 0
        )
        one = int(judged[np.flatnonzero(has)[0]])
        judged, learned = judged[judged != one], np.append(learned, one)
        missing = _left_out(targets, learned)
    if not len(judged):
        raise DataError(
            f"validation must leave a text of each class to learn from, got {len(targets)} texts; "
            "give validation=None, or texts of its own"
        )
    return np.sort(learned), np.sort(judged)


def _left_out(targets: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """The classes that no item to learn from has."""
    if targets.ndim == 1:
        return np.setdiff1d(targets, targets[learned])
    return np.flatnonzero((targets > 0).any(0) & ~(targets[learned] > 0).any(0))


def _is_matrix(labels: Any) -> bool:
    """Whether labels come as scikit-learn's indicators do."""
    return getattr(labels, "ndim", 1) == 2 and hasattr(labels, "shape")


def _plain(label: Any, at: int, separator: str | None) -> Any:
    """A label, the `at`-th, as a value of Python; several of them as a tuple."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, np.ndarray) or (
        isinstance(label, Iterable) and not isinstance(label, (str, bytes, dict))
    ):
        return tuple(_one(one, at) for one in label)
    if separator is not None and (label is None or isinstance(label, str)):
        return tuple(one.strip() for one in (label or "").split(separator) if one.strip())
    return _one(label, at)


def _one(label: Any, at: int) -> Any:
    label = label.item() if isinstance(label, np.generic) else label
    if not isinstance(label, _KINDS) or label != label or label == "":
        wanted = "a name, a whole number, or True or False"
        raise DataError(must_be(f"label {at:,}", wanted, label))
    return label


def _few(names: Sequence[Any]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return f"{shown}, ... ({len(names)} classes)" if len(names) > 8 else shown

"""Pictures read row by row: drawn shapes, MNIST-1D, or arrays of your own."""

from __future__ import annotations

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.core.rules import check, integer
from grukit.data.problems.base import Items, Problem, at_the_end, spread
from grukit.data.problems.mnist1d import CLASSES, LENGTH, mnist1d

SIDE = 28
# The seven segments of a digit, from (row, column) to (row, column) in a box of 2 by 1.
_SEGMENTS = (
    ((0, 0), (0, 1)),
    ((0, 0), (1, 0)),
    ((0, 1), (1, 1)),
    ((1, 0), (1, 1)),
    ((1, 0), (2, 0)),
    ((1, 1), (2, 1)),
    ((2, 0), (2, 1)),
)
_ENDS = np.array(_SEGMENTS, np.float64)
_USED = ("012456", "25", "02346", "02356", "1235", "01356", "013456", "025", "0123456", "012356")
_LIT = np.array([[str(segment) in used for segment in range(7)] for used in _USED])
_AT_ONCE = 250


def image_rows(
    train: int = 5_000,
    test: int = 1_000,
    seed: int = 0,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Problem:
    """Which digit a picture shows, read row by row from the top.

    Without images of your own they are drawn: digits of seven strokes, 28 by 28, of any size,
    place, slant and thickness, their corners moved, with noise.

    images: [N, rows, columns] of numbers, with labels: integers [N]; they are shuffled by the seed,
        and the last `test` are the test, as many before them the validation.

    Raises DataError for images and labels that do not go together.
    """
    sizes = {"train": train, "test": test}
    check(sizes, {name: integer(at_least=1) for name in sizes})
    if images is None:
        parts = [
            _drawn(random, count)
            for random, count in zip(spread("image_rows", seed), (train, test, test), strict=True)
        ]
        classes, title = 10, "Drawn digits row by row"
    else:
        parts, classes = _own(images, labels, test, seed)
        title = "Pictures row by row"
    learned, judged, tested = (_items(pictures, own) for pictures, own in parts)
    return _classes(
        "image_rows", title, "Le et al. 2015, by rows", classes, learned, judged, tested
    )


def mnist1d_curves(seed: int = 0) -> Problem:
    """Which digit a curve of 40 steps is: MNIST-1D, the last 500 of 4,000 as validation.

    Published test accuracy: logistic regression 32 %, MLP 68 %, GRU 91 %, CNN 94 %. The set is the
    same for every seed.
    """
    curves = mnist1d()
    held = 500
    learned = _items(curves.train[:-held, :, None], curves.train_digits[:-held])
    judged = _items(curves.train[-held:, :, None], curves.train_digits[-held:])
    tested = _items(curves.test[:, :, None], curves.test_digits)
    source = "Greydanus and Kobak 2020"
    title = f"MNIST-1D: digits as curves of {LENGTH} steps"
    return _classes("mnist1d", title, source, CLASSES, learned, judged, tested)


def _classes(
    name: str, title: str, source: str, classes: int, learned: Items, judged: Items, tested: Items
) -> Problem:
    return Problem(
        name=name,
        title=title,
        source=source,
        kind="class",
        output_size=classes,
        metric="accuracy",
        blank=_most_frequent(tested, classes),
        blank_says="the most frequent class",
        goal=0.5,
        train=learned,
        validation=judged,
        test=tested,
    )


def _items(pictures: np.ndarray, labels: np.ndarray) -> Items:
    count, steps, size = pictures.shape
    lengths = np.full(count, steps)
    targets = at_the_end(labels.astype(np.int64), lengths, steps)
    return Items(pictures.astype(np.float32), lengths, *targets, size)


def _most_frequent(items: Items, classes: int) -> float:
    counts = np.bincount(items.targets[items.asked], minlength=classes)
    return float(counts.max() / counts.sum())


def _own(
    images: np.ndarray, labels: np.ndarray | None, test: int, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    images, labels = np.asarray(images, np.float32), np.asarray(labels)
    if images.ndim != 3 or labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        got = (images.shape, labels.shape, str(labels.dtype))
        wanted = "numbers [N, rows, columns] and integers [N]"
        raise DataError(must_be("images and labels", wanted, got))
    if len(images) <= 2 * test or not np.isfinite(images).all() or labels.min() < 0:
        wanted = f"more than {2 * test}, finite, with labels of 0 and more"
        raise DataError(must_be("images", wanted, (len(images), int(labels.min(initial=0)))))
    (random,) = spread("image_rows", seed, parts=1)
    order = random.permutation(len(images))
    cuts = (order[: -2 * test], order[-2 * test : -test], order[-test:])
    return [(images[cut], labels[cut]) for cut in cuts], int(labels.max()) + 1


def _drawn(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 [N, 28, 28] from 0 to 1 with noise, and the digits [N]."""
    digits = random.integers(0, 10, count)
    parts = [_strokes(random, digits[at : at + _AT_ONCE]) for at in range(0, count, _AT_ONCE)]
    return np.concatenate(parts), digits


def _strokes(random: np.random.Generator, digits: np.ndarray) -> np.ndarray:
    def uniform(low: float, high: float, *shape: int) -> np.ndarray:
        return random.uniform(low, high, (len(digits), *shape))

    strokes = _ENDS + random.normal(0, 0.06, (len(digits), *_ENDS.shape))
    strokes[..., 0] *= uniform(6, 9, 1, 1)
    strokes[..., 1] *= uniform(7, 12, 1, 1)
    strokes[..., 1] -= uniform(-0.25, 0.25, 1, 1) * strokes[..., 0]
    low, high = strokes.min((1, 2)), strokes.max((1, 2))
    move = uniform(0.2, 0.8, 2) * (SIDE - 1 - (high - low)) - low
    strokes += move[:, None, None]
    distance = _distances(strokes.astype(np.float32), _LIT[digits])
    pictures = np.clip(uniform(1.3, 2.1, 1) - distance, 0, 1).reshape(-1, SIDE, SIDE)
    return (pictures + random.normal(0, 0.15, pictures.shape)).astype(np.float32)


def _distances(strokes: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """How far each place is from the nearest of the lit strokes [N, S, 2, 2]: [N, places]."""
    row, column = np.mgrid[:SIDE, :SIDE].reshape(2, -1).astype(np.float32)
    nearest = np.full((len(strokes), SIDE * SIDE), np.inf, np.float32)
    for at in range(strokes.shape[1]):
        (y, x), (to_y, to_x) = strokes[:, at, 0].T[:, :, None], strokes[:, at, 1].T[:, :, None]
        dy, dx = to_y - y, to_x - x
        share = np.clip(((row - y) * dy + (column - x) * dx) / (dy**2 + dx**2), 0, 1)
        squared = (row - y - share * dy) ** 2 + (column - x - share * dx) ** 2
        nearest = np.where(lit[:, at : at + 1], np.minimum(nearest, squared), nearest)
    return np.sqrt(nearest)

"""Areas and volumes: against loops written from their definitions, and the authors' figures."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation import volume as module
from grukit.evaluation.volume import pr_auc, roc_auc, volume


def make_case(seed, length, events):
    random = np.random.RandomState(seed)
    labels = np.zeros(length, bool)
    for first, last in events:
        labels[first : last + 1] = True
    scores = random.rand(length)
    scores[labels] += 0.5
    return labels, (scores - scores.min()) / (scores.max() - scores.min())


def volume_reference(labels, scores, buffer, thresholds):
    """Row by row and threshold by threshold, from the docstring."""
    length = len(labels)
    levels = sorted(scores, reverse=True)
    levels = [levels[int(rank)] for rank in np.linspace(0, length - 1, thresholds)]
    curves = []
    for width in range(buffer + 1):
        half = width // 2
        soft, group, current = np.zeros(length), [None] * length, -1
        for row in range(length):
            for other in range(max(row - half, 0), min(row + half, length - 1) + 1):
                begins = labels[other] and (other == 0 or not labels[other - 1])
                ends = labels[other] and (other == length - 1 or not labels[other + 1])
                if row == other and labels[row]:
                    soft[row] += 1
                elif (begins and row < other) or (ends and row > other):
                    soft[row] += np.sqrt(1 - abs(row - other) / width)
        soft = np.minimum(soft, 1)
        spans = []
        for row in range(length):
            if labels[row] and (row == 0 or not labels[row - 1]):
                spans.append([row, row])
            elif labels[row]:
                spans[-1][1] = row
        spans = [[first - half, last + half] for first, last in spans]
        joined = [spans[0]]
        for span in spans[1:]:
            if span[0] <= joined[-1][1]:
                joined[-1][1] = span[1]
            else:
                joined.append(span)
        for current, (first, last) in enumerate(joined):
            for row in range(max(first, 0), min(last, length - 1) + 1):
                group[row] = current
        area_pr, area_roc, before = 0.0, 0.0, (0.0, 0.0)
        for level in levels:
            above = [row for row in range(length) if scores[row] >= level]
            hits = sum(soft[row] for row in above)
            positives = labels.sum() + sum(soft[row] for row in above if not labels[row]) / 2
            found = len({group[row] for row in above} - {None}) / len(joined)
            recall = min(hits / positives, 1) * found
            false = (len(above) - hits) / (length - positives)
            area_pr += (recall - before[0]) * hits / len(above)
            area_roc += (false - before[1]) * (recall + before[0]) / 2
            before = recall, false
        area_roc += (1 - before[1]) * (1 + before[0]) / 2
        curves.append((area_pr, area_roc))
    return tuple(np.mean(curves, axis=0))


@pytest.mark.parametrize(
    ("events", "buffer"),
    [
        ([(20, 24)], 0),
        ([(20, 24), (40, 40)], 7),
        ([(0, 2), (6, 7), (9, 9), (56, 59)], 12),
        ([(30, 30)], 80),
    ],
)
@pytest.mark.parametrize("decimals", [9, 1])
def test_the_volume_is_that_of_its_definition(events, buffer, decimals):
    labels, scores = make_case(len(events), 60, events)
    scores = scores.round(decimals)
    expected = volume_reference(labels, scores, buffer, thresholds=25)
    assert volume(labels, scores, buffer, thresholds=25) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("case", "buffer", "thresholds", "expected"),
    [
        ((0, 200, [(40, 55), (120, 130)]), 10, 50, (0.657318866508, 0.883237268470)),
        ((1, 300, [(50, 60), (150, 180), (250, 255)]), 20, 100, (0.720301443269, 0.875831252771)),
    ],
)
def test_the_volume_is_that_of_the_authors_code(case, buffer, thresholds, expected):
    """Figures of RangeAUC_volume_opt, from github.com/TheDatumOrg/VUS."""
    labels, scores = make_case(*case)
    assert volume(labels, scores, buffer, thresholds) == pytest.approx(expected, abs=1e-11)


def test_the_comparison_can_fail(monkeypatch):
    monkeypatch.setattr(module, "_joined", lambda events, *rest: events)
    with pytest.raises(AssertionError):
        test_the_volume_is_that_of_its_definition([(0, 2), (6, 7), (9, 9), (56, 59)], 12, 9)


def test_volumes_of_perfect_early_and_random_scores():
    labels = np.zeros(2000, bool)
    labels[[*range(500, 540), *range(1500, 1530)]] = True
    random = np.random.default_rng(0).random(2000)
    perfect, near = volume(labels, labels * 1.0), volume(labels, np.roll(labels, -10) * 1.0)
    blind = volume(labels, random)
    assert perfect.pr > near.pr > 3 * blind.pr
    assert perfect.roc > near.roc > blind.roc
    assert perfect == pytest.approx((1.0, 1.0))
    assert np.roll(labels, -10)[labels].mean() < near.pr


def test_areas_are_those_of_every_pair_and_every_threshold():
    random = np.random.default_rng(1)
    for decimals in (8, 1, 0):
        labels, scores = random.random(60) < 0.2, random.random(60).round(decimals)
        pairs = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
        assert roc_auc(labels, scores) == pytest.approx(np.mean(pairs))
        area, before = 0.0, 0
        for level in sorted(set(scores), reverse=True):
            hits = (labels & (scores >= level)).sum()
            area += (hits - before) / labels.sum() * hits / (scores >= level).sum()
            before = hits
        assert pr_auc(labels, scores) == pytest.approx(area)


@pytest.mark.parametrize("function", [volume, pr_auc, roc_auc])
def test_bad_input(function):
    labels, scores = np.array([0, 1, 0]), np.arange(3.0)
    with pytest.raises(ParameterError, match=r"scores must be of shape \(3,\)"):
        function(labels, scores[:2])
    with pytest.raises(ParameterError, match=r"labels must be of shape \[T\]"):
        function(labels[None], scores[None])
    with pytest.raises(ParameterError, match="scores must be numbers, got nan"):
        function(labels, np.full(3, np.nan))
    for wrong in (np.zeros(3), np.ones(3)):
        with pytest.raises(ParameterError, match="True in some rows"):
            function(wrong, scores)
    for wrong in (np.array([0, 2, 1]), np.array([0, np.nan, 1])):
        with pytest.raises(ParameterError, match="labels must be True or False"):
            function(wrong, scores)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError
from grukit.data.labels import Classes, held_out


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([3, 1, 3], (1, 3)),
        (np.array([3, 1, 3]), (1, 3)),
        (pd.Series(["b", "a"]), ("a", "b")),
        ([True, False], (False, True)),
        ([1.0, 0.0], (0.0, 1.0)),
        (["日", "본"], ("日", "본")),
    ],
)
def test_one_class_for_each_text(labels, names):
    classes = Classes.learn(labels)
    assert (classes.names, classes.multilabel) == (names, False)
    targets = classes.targets(labels)
    assert targets.dtype == np.int64
    assert [names[at] for at in targets] == list(labels)


def test_several_classes_for_each_text():
    wanted = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.float32)
    by_name = [["a", "c"], [], ("b",)]
    for labels, separator in (
        (by_name, None),
        ([np.array(["a", "c"]), {"a"} - {"a"}, {"b"}], None),
        (["a | c", "", "b"], "|"),
        (["c|a", None, "b|"], "|"),
    ):
        classes = Classes.learn(labels, separator)
        assert (classes.names, classes.multilabel) == (("a", "b", "c"), True)
        assert np.array_equal(classes.targets(labels, separator), wanted)
    matrix = Classes.learn(wanted.astype(int))
    assert (matrix.names, matrix.multilabel) == ((0, 1, 2), True)
    assert np.array_equal(matrix.targets(wanted), wanted)
    assert np.array_equal(Classes.learn(by_name).targets(wanted), wanted)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", 1], "labels must be all of one type, got int and str"),
        ([1, True], "labels must be all of one type, got bool and int"),
        ([["a"], [1]], "labels must be all of one type, got int and str"),
        (["a", ["b"]], "labels must be all lists or all single ones, got both"),
        (["a", None], "label 2 must be a name, a whole number, or True or False, got None"),
        (["a", ""], "label 2 must be a name"),
        ([1.0, np.nan], "label 2 must be a name.*nan"),
        ([0.5, 1.0], "labels must be classes, as whole numbers or names are, got 0.5"),
        (["a", "a"], r"labels must be of at least two classes, got \['a'\]"),
        ([], r"labels must be of at least two classes, got \[\]"),
        ([[], []], r"labels must be of at least one class, got \[\]"),
        ([{"a": 1}, "b"], "label 1 must be a name"),
        (np.array([[0, 2]]), "labels must be a matrix of 0 and 1 with 2 columns, got 2"),
    ],
)
def test_labels_that_are_none(labels, message):
    with pytest.raises(DataError, match=message):
        Classes.learn(labels)


def test_labels_that_were_not_learned():
    single, several = Classes.learn(["a", "b"]), Classes.learn([["a"], ["b"]])
    with pytest.raises(DataError, match="label 2 must be one of 'a', 'b', got 'c'"):
        single.targets(["a", "c"])
    with pytest.raises(DataError, match="label 1 must be one of 'a', 'b', got 'c'"):
        several.targets([["a", "c"]])
    with pytest.raises(DataError, match="label 1 must be one label"):
        single.targets([["a"]])
    with pytest.raises(DataError, match="label 1 must be a list of labels, got 'a'"):
        several.targets(["a"])
    with pytest.raises(DataError, match="labels must be one for each text"):
        single.targets(np.zeros((3, 2)))
    with pytest.raises(DataError, match="with 2 columns, got 'one of shape"):
        several.targets(np.zeros((3, 5)))
    many = Classes.learn(list(range(30)))
    with pytest.raises(DataError, match=r"one of 0, 1, .*7, \.\.\. \(30 classes\), got 99"):
        many.targets([99])


@given(
    st.lists(st.integers(0, 4), min_size=6, max_size=300),
    st.floats(0.01, 0.6),
    st.integers(0, 9),
)
def test_each_class_is_shared_out_alike(targets, share, seed):
    targets = np.array(targets)
    if len(np.unique(targets)) == len(targets):
        return
    learned, judged = held_out(targets, share, seed)
    assert sorted([*learned, *judged]) == list(range(len(targets)))
    assert set(targets[learned]) == set(targets)
    assert len(judged) >= 1
    for own in np.unique(targets):
        expected = share * (targets == own).sum()
        assert abs((targets[judged] == own).sum() - expected) <= 2


def test_a_thousand_to_one():
    targets = np.zeros(5000, np.int64)
    targets[[7, 70, 700, 4000, 4500]] = 1
    learned, judged = held_out(targets, 0.1, 0)
    assert 1 <= targets[learned].sum() <= 5
    assert len(judged) == 500
    rare = np.zeros((2000, 2), np.float32)
    rare[:, 0], rare[3, 1] = 1, 1
    for seed in range(30):
        learned, judged = held_out(rare, 0.3, seed)
        assert rare[learned, 1].sum() == 1
        assert len(judged) in (599, 600)


def test_other_seeds_hold_out_others_and_nothing_is_left_of_too_few():
    targets = np.arange(100) % 3
    first = held_out(targets, 0.2, 0)
    assert np.array_equal(first[1], held_out(targets, 0.2, 0)[1])
    assert not np.array_equal(first[1], held_out(targets, 0.2, 1)[1])
    with pytest.raises(DataError, match="validation must leave a text of each class to learn from"):
        held_out(np.array([0, 1]), 0.1, 0)

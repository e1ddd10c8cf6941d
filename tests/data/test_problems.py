from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grukit.core.errors import DataError, ParameterError
from grukit.data import catalog
from grukit.data.music_sets import music, piano_rolls
from grukit.data.problems import PROBLEMS, Problem, problem
from grukit.data.problems.mnist1d import mnist1d

SMALL = {
    "adding": {"length": 20, "train": 60, "test": 40},
    "copy_memory": {"delay": 5, "train": 60, "test": 40},
    "temporal_order": {"length": 50, "train": 60, "test": 40},
    "parity": {"length": 12, "train": 60, "test": 40},
    "anbn": {"longest": 6, "test_longest": 20, "train": 60},
    "image_rows": {"train": 60, "test": 40},
}
each_small = pytest.mark.parametrize("name", SMALL)


def small(name: str, **more) -> Problem:
    return problem(name, **SMALL[name], **more)


@each_small
def test_the_same_seed_gives_the_same_sequences_and_another_gives_others(name):
    first, again, other = small(name), small(name), small(name, seed=1)
    for part in ("train", "validation", "test"):
        a, b = getattr(first, part), getattr(again, part)
        assert np.array_equal(a.inputs, b.inputs)
        assert np.array_equal(a.targets, b.targets)
    assert not np.array_equal(first.train.lengths, other.train.lengths) or not np.array_equal(
        first.train.inputs, other.train.inputs
    )


@each_small
def test_a_batch_has_the_shapes_it_promises(name):
    own = small(name)
    batch = own.train.batch(torch.tensor([3, 1, 4]))
    steps = int(batch.lengths.max())
    assert batch.inputs.shape == (steps, 3, own.input_size)
    assert batch.inputs.dtype == torch.float32
    assert batch.asked.shape == (steps, 3)
    assert int(batch.asked.sum()) == len(batch.targets) == len(batch.sequences)
    for place, item in enumerate((3, 1, 4)):
        mine = batch.targets[batch.sequences == place].numpy()
        asked = own.train.asked[item]
        assert np.array_equal(mine, own.train.targets[item][asked])
        assert not asked[own.train.lengths[item] :].any()


def test_adding_asks_for_the_sum_of_the_two_marked():
    own = small("adding")
    for inputs, targets, asked in zip(
        own.test.inputs, own.test.targets, own.test.asked, strict=True
    ):
        marked = inputs[:, 1] == 1
        assert marked[:10].sum() == marked[10:].sum() == 1
        assert asked.tolist() == [False] * 19 + [True]
        assert targets[-1] == pytest.approx(inputs[marked, 0].sum())
    many = problem("adding", length=20, train=1, test=20_000).test
    assert ((many.targets[many.asked] - 1) ** 2).mean() == pytest.approx(own.blank, rel=0.02)


def test_the_marks_and_symbols_are_anywhere_in_their_parts():
    marks = problem("adding", length=21, train=1, test=3000).test.inputs[..., 1]
    first, second = (np.flatnonzero(marks[:, part].any(0)) for part in (slice(10), slice(10, 21)))
    assert (first.tolist(), second.tolist()) == ([*range(10)], [*range(11)])
    order = problem("temporal_order", length=50, train=1, test=3000).test.inputs
    places = np.flatnonzero(((order == 4) | (order == 5)).any(0))
    assert places.tolist() == [*range(5, 10), *range(25, 30)]
    assert (order[:, 0] == 6).all()
    assert (order[:, -1] == 7).all()


def known(own: Problem) -> list[set[bytes]]:
    """The sequences of each part."""
    parts = (own.train, own.validation, own.test)
    return [{row.tobytes() for row in part.inputs} for part in parts]


@pytest.mark.parametrize("name", ["adding", "copy_memory", "temporal_order", "image_rows"])
def test_no_sequence_is_in_two_parts(name):
    train, validation, test = known(small(name))
    assert (len(train), len(validation), len(test)) == (60, 40, 40)
    assert not train & validation | train & test | validation & test


def test_mnist1d_keeps_500_curves_to_validate():
    own = problem("mnist1d")
    train, validation, test = known(own)
    assert (len(train), len(validation), len(test)) == (3500, 500, 1000)
    assert not train & validation | train & test | validation & test
    # The test is that of the authors, so it is not what was held back.
    assert np.array_equal(own.test.inputs[..., 0], mnist1d().test)


def test_copying_asks_for_the_symbols_after_the_mark():
    own = small("copy_memory")
    inputs, targets = own.train.inputs, own.train.targets
    assert inputs.shape[1] == 5 + 20
    assert np.array_equal(targets[:, -10:], inputs[:, :10])
    assert (targets[:, :-10] == 8).all()
    assert (inputs == 9).sum(1).tolist() == [1] * 60
    assert own.blank == pytest.approx(10 * math.log(8) / 25)


def test_temporal_order_is_told_by_the_two_symbols():
    own = small("temporal_order").test
    for row, target in zip(own.inputs, own.targets[:, -1], strict=True):
        first, second = row[(row == 4) | (row == 5)] - 4
        assert target == 2 * first + second
    assert set(own.targets[:, -1]) == {0, 1, 2, 3}


def test_parity_is_that_of_the_bits_so_far_and_the_test_is_longer():
    own = small("parity")
    row, n = own.test.inputs[0], own.test.lengths[0]
    assert [sum(map(int, row[: t + 1])) % 2 for t in range(n)] == own.test.targets[0, :n].tolist()
    assert own.train.lengths.max() <= 12 < own.test.lengths.max() <= 24


def test_anbn_asks_from_the_first_b_on():
    own = small("anbn").test
    three = own.inputs[2, :6].tolist(), own.targets[2][own.asked[2]].tolist()
    assert three == ([0, 0, 0, 1, 1, 1], [1, 1, 2])
    assert own.lengths.tolist() == [2 * n for n in range(1, 21)]
    assert small("anbn").validation.lengths.tolist() == [2 * n for n in range(1, 7)]
    assert small("anbn").train.lengths.max() == 12


def test_the_longest_is_that_below_which_nothing_is_wrong():
    own = small("anbn")
    batch = own.test.batch(torch.arange(20))
    right = np.ones(len(batch.targets), bool)
    losses, sequences = np.zeros(len(right)), batch.sequences.numpy()
    assert own.score(losses, right, sequences) == 20
    right[np.flatnonzero(sequences == 12)[-1]] = False  # n = 13
    right[np.flatnonzero(sequences == 17)[0]] = False
    assert own.score(losses, right, sequences) == 12
    right[np.flatnonzero(sequences == 0)] = False
    assert own.score(losses, right, sequences) == 0


def test_other_metrics_are_means_over_the_steps():
    losses, right, rows = np.array([1.0, 2.0, 6.0]), np.array([True, False, True]), np.zeros(3, int)
    assert small("adding").score(losses, right, rows) == 3
    assert small("parity").score(losses, right, rows) == pytest.approx(2 / 3)


def test_drawn_digits_differ_and_stay_in_the_picture():
    own = problem("image_rows", train=400, test=10).train
    digits = own.targets[:, -1]
    means = np.stack([own.inputs[digits == digit].mean(0) for digit in range(10)])
    ink = np.linalg.norm(means[:, None] - means, axis=(2, 3)) + 9 * np.eye(10)
    assert ink.min() > 0.7
    assert (means[:, 14] - means[:, 0]).mean() > 0.1


def test_pictures_of_ones_own():
    images = np.arange(30.0)[:, None, None] * np.ones((1, 3, 2))
    own = problem("image_rows", test=5, images=images, labels=np.arange(30) % 4)
    assert (len(own.train), len(own.validation), len(own.test)) == (20, 5, 5)
    assert (own.input_size, own.output_size) == (2, 4)
    values = np.concatenate(
        [part.inputs[:, 0, 0] for part in (own.train, own.validation, own.test)]
    )
    assert sorted(values) == list(range(30))
    assert (own.test.inputs[:, 0, 0] % 4 == own.test.targets[:, -1]).all()
    for labels in (np.arange(29), np.arange(30.0), None):
        with pytest.raises(DataError, match="images and labels must be"):
            problem("image_rows", images=images, labels=labels)
    with pytest.raises(DataError, match="more than 40"):
        problem("image_rows", test=20, images=images, labels=np.arange(30))


def test_mnist1d_is_that_of_its_authors(data_folder):
    file = data_folder / "sequence_classification" / "mnist1d" / "mnist1d.npz"
    if not file.exists():
        pytest.skip("MNIST-1D is not on this machine")
    with np.load(file) as true:
        for own, name in zip(mnist1d(), ("x_train", "y_train", "x_test", "y_test"), strict=True):
            assert np.array_equal(own, true[name])


def test_chorales_foretell_the_next_step_and_count_no_padding(data_folder):
    if catalog.locate("jsb_chorales") is None:
        pytest.skip("the chorales are not on this machine")
    own = problem("jsb_chorales")
    rolls = piano_rolls(catalog.path("jsb_chorales"))
    assert [len(rolls[part]) for part in ("train", "validation", "test")] == [229, 76, 77]
    batch = own.test.batch(torch.tensor([5]))
    roll = torch.from_numpy(rolls["test"][5])
    assert torch.equal(batch.inputs[:, 0], roll[:-1])
    assert torch.equal(batch.targets, roll[1:])
    assert own.test.asked.sum() == sum(len(roll) - 1 for roll in rolls["test"])
    assert own.blank == pytest.approx(11.09, abs=0.01)


def test_music_is_a_frame_of_notes(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    roll = np.zeros((2, 88))
    roll[0, 39] = roll[1, 0] = roll[1, 87] = 1
    piece = np.empty((1, 1), object)
    piece[0, 0] = roll
    parts = dict.fromkeys(("traindata", "validdata", "testdata"), piece)
    scipy_io.savemat(tmp_path / "a.mat", parts)
    frame = music(tmp_path / "a.mat")
    assert [tuple(row) for row in frame.itertuples(index=False)][:2] == [
        ("train", 0, 0, "60"),
        ("train", 0, 1, "21 108"),
    ]
    roll[0, 0] = 0.5
    scipy_io.savemat(tmp_path / "b.mat", parts)
    with pytest.raises(DataError, match="a piece must be zeros and ones"):
        music(tmp_path / "b.mat")
    (tmp_path / "c.mat").write_bytes(b"no music at all, and no file of MATLAB either" * 9)
    with pytest.raises(DataError, match=r"the music must be a \.mat file"):
        music(tmp_path / "c.mat")


def test_an_unknown_problem_or_setting_names_the_closest():
    with pytest.raises(ParameterError, match="did you mean 'adding'"):
        problem("ading")
    with pytest.raises(ParameterError, match=r"setting of adding must be .* did you mean 'length'"):
        problem("adding", lenght=3)
    for name, wrong in (("adding", "length"), ("copy_memory", "delay"), ("parity", "train")):
        with pytest.raises(ParameterError, match=f"{wrong} must be an integer"):
            problem(name, **{wrong: 0})
    with pytest.raises(ParameterError, match="seed must be an integer of at least 0, got -1"):
        problem("adding", seed=-1)


def test_every_name_builds_a_problem_of_that_name():
    for name, sizes in SMALL.items():
        assert problem(name, **sizes).name == name
    assert set(PROBLEMS) - set(SMALL) == {"mnist1d", "jsb_chorales", "piano_midi"}

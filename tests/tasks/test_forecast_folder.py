"""A saved forecaster comes back whole, and a damaged one is refused."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import ModelFolderError
from grukit.tasks.base import load_model


def altered(folder: Path, tensors=None, **changes) -> None:
    """Write other values into a model folder, with a sha256 that fits; None removes a key."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    for path, value in changes.items():
        *parents, name = path.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[name]
        else:
            place[name] = value
    if tensors is not None:
        weights = safetensors.torch.save(tensors)
        (folder / "model.safetensors").write_bytes(weights)
        config["sha256"] = hashlib.sha256(weights).hexdigest()
    file.write_text(json.dumps(config))


@pytest.fixture
def folder(rich, tmp_path) -> Path:
    rich.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_loaded_forecaster_is_the_same(rich, rich_table, rich_past, rich_future, folder):
    for loaded in (Forecaster.load(folder), load_model(folder)):
        assert loaded.get_params() == rich.get_params()
        for data in (None, rich_past):
            one, other = rich.predict(data, rich_future), loaded.predict(data, rich_future)
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.times, other.times)
            assert (one.series, one.columns) == (other.series, other.columns)
        assert loaded.evaluate(rich_table).to_dict() == rich.evaluate(rich_table).to_dict()
        for name in ("lookback_", "season_", "trained_until_"):
            assert getattr(loaded, name) == getattr(rich, name)
        assert not loaded.network_.training


def test_a_second_save_writes_the_same_folder(folder, tmp_path):
    Forecaster.load(folder).save(tmp_path / "again")
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_the_card_tells_data_scores_and_training(folder):
    card = (folder / "README.md").read_text()
    for words in ("Forecaster of y", "`h`", "2 series", "wind, promo, kind", "seasonal naive"):
        assert words in card
    assert "Trained for 2 epochs" in card


@pytest.mark.parametrize("scaling", ["series", "window"])
def test_numpy_settings_and_no_validation_survive(frame, small, tmp_path, scaling):
    model = small(
        horizon=np.int64(4), differencing=np.int32(3), levels=np.array([0.1, 0.5]).tolist(),
        scaling=scaling, training=FitConfig(epochs=1, tensorboard=tmp_path / "log"),
    ).fit(frame, validation=None)  # fmt: skip
    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict().values, model.predict().values)
    assert "Not scored" in (tmp_path / "model" / "README.md").read_text()


def test_settings_changed_after_fit_do_not_reach_the_folder(frame, small, tmp_path):
    model = small().fit(frame)
    model.horizon = 99
    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.horizon == 6
    np.testing.assert_array_equal(loaded.predict().values, model.predict().values)


def test_a_flipped_byte_is_noticed(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelFolderError, match="damaged"):
        Forecaster.load(folder)


KEYS = (
    "settings", "encoder", "lookback", "season", "trained_until", "series_column", "series",
    "scales", "sha256", "texts", "settings__training", "encoder__freq", "encoder__past",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_noticed(folder, key):
    altered(folder, **{key: None})
    with pytest.raises(ModelFolderError, match="damaged"):
        Forecaster.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"settings__horizon": "six"},
        {"settings__horizon": 7},
        {"settings__hidden_size": 5},
        {"settings__levels": [0.1, 0.5]},
        {"settings__levels": "all"},
        {"settings__scaling": "log"},
        {"settings__training": {"epochs": -1}},
        {"settings__training": {"speed": 1}},
        {"settings__unknown": 1},
        {"settings": []},
        {"lookback": "long"},
        {"lookback": 1e400},
        {"season": [24]},
        {"season": 0},
        {"trained_until": "yesterday"},
        {"trained_until": {}},
        {"lookback": 10**12},
        {"lookback": -1},
        {"series": ["series_0"]},
        {"series": 2},
        {"scales": 3},
        {"scales": {"series_0": "big"}},
        {"encoder": []},
        {"encoder__freq": "sometimes"},
        {"encoder__past": []},
        {"encoder__past": [{"name": "wind"}]},
        {"encoder__scales": {"series_0": 1}},
        {"series_column": 7},
    ],
)
def test_a_value_of_another_kind_is_noticed(folder, change):
    altered(folder, **change)
    with pytest.raises(ModelFolderError, match="damaged"):
        Forecaster.load(folder)


@pytest.mark.parametrize(
    "name",
    [
        "network.mix.weight",
        "context.target",
        "context.offsets",
        "context.known",
        "baseline.last value",
        "stretch",
    ],
)
@pytest.mark.parametrize("damage", ["missing", "short"])
def test_tensors_that_do_not_fit_are_noticed(folder, name, damage):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    if damage == "missing":
        del tensors[name]
    else:
        tensors[name] = tensors[name][:-1].clone()
    altered(folder, tensors)
    with pytest.raises(ModelFolderError, match="damaged"):
        Forecaster.load(folder)


def test_a_tensor_too_many_is_noticed(folder):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["network.extra"] = torch.zeros(1)
    altered(folder, tensors)
    with pytest.raises(ModelFolderError, match="damaged"):
        Forecaster.load(folder)


def test_weights_that_are_no_safetensors_are_noticed(folder):
    weights = b"not a tensor in sight"
    (folder / "model.safetensors").write_bytes(weights)
    altered(folder, sha256=hashlib.sha256(weights).hexdigest())
    with pytest.raises(ModelFolderError, match="damaged"):
        Forecaster.load(folder)


@pytest.mark.parametrize("load", [Forecaster.load, load_model])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "alchemy"}, "must be .*'forecast'.* got 'alchemy'"),
        ({"task": None}, "must be .*'forecast'.* got None"),
        ({"format": 99}, "written by a newer grukit"),
        ({"format": None}, "not a grukit model"),
    ],
)
def test_another_model_is_refused(folder, load, change, message):
    altered(folder, **change)
    with pytest.raises(ModelFolderError, match=message):
        load(folder)


def test_what_is_no_model_folder_is_refused(tmp_path):
    with pytest.raises(ModelFolderError, match="there is no model folder"):
        Forecaster.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFolderError, match="must be a folder"):
        Forecaster.load(tmp_path / "file")
    with pytest.raises(ModelFolderError, match="not a grukit model"):
        Forecaster.load(tmp_path)


def test_a_failed_save_leaves_the_old_model(rich, fitted, folder, monkeypatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="could not be saved"):
            fitted.save(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    fitted.save(folder)
    assert Forecaster.load(folder).past_covariates == ()

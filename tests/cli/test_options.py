"""Where an option's value comes from, and what the help promises."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
import typer

from grukit import FitConfig, Forecaster, __version__
from grukit.cli.main import app
from grukit.core.errors import DataError
from grukit.nn.by_name import LAYER_OF


@pytest.fixture
def forecaster_arguments(monkeypatch, tmp_path, grukit):
    """What `grukit train forecast` with these arguments would give to Forecaster."""

    def arguments(*more):
        seen = {}

        def forecaster(**given):
            seen.update(given)
            raise DataError("seen")

        monkeypatch.setattr("grukit.tasks.forecasting.Forecaster", forecaster)
        outcome = grukit("train", "forecast", "data.csv", "-o", tmp_path / "model", *more)
        assert outcome.err == "grukit: error: seen\n"
        return seen

    return arguments


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_flag_over_environment_over_file_over_default(monkeypatch, config, forecaster_arguments):
    file = config("hidden-size = 10\nhorizon = 20\nseed = 30\n")
    monkeypatch.setenv("GRUKIT_TRAIN_FORECAST_HORIZON", "21")
    monkeypatch.setenv("GRUKIT_TRAIN_FORECAST_SEED", "31")
    seen = forecaster_arguments("--config", file, "--seed", "32")
    assert (seen["hidden_size"], seen["horizon"], seen["seed"]) == (10, 21, 32)
    assert seen["num_layers"] == 1


def test_a_version_in_the_environment_is_no_flag(monkeypatch, grukit):
    monkeypatch.setenv("GRUKIT_VERSION", "0.1.0")
    assert grukit("data", "list").code == 0
    assert "GRUKIT_INSTALL_COMPLETION" not in grukit("--help").out


def test_the_place_of_config_does_not_matter(config, forecaster_arguments):
    file = config("hidden-size = 10\n")
    assert forecaster_arguments("--hidden-size", 11, "--config", file)["hidden_size"] == 11


def test_file_values_of_every_kind(config, forecaster_arguments):
    seen = forecaster_arguments(
        "--config",
        config(
            'target = "temperature"\ndropout = 0.25\nlearning-rate = 1\noverwrite = true\n'
            'past-covariate = ["wind", "rain"]\nfuture-covariate = "holiday"\n'
            "level = [0.1, 0.5]\n"
        ),
    )
    assert seen["target"] == "temperature"
    assert seen["dropout"] == 0.25
    assert seen["training"].learning_rate == 1.0
    assert seen["past_covariates"] == ("wind", "rain")
    assert seen["future_covariates"] == ("holiday",)
    assert seen["levels"] == (0.1, 0.5)


def test_repeated_flags_replace_the_list_of_the_file(config, forecaster_arguments):
    file = config('past-covariate = ["wind", "rain"]\n')
    seen = forecaster_arguments("--config", file, "--past-covariate", "sun")
    assert seen["past_covariates"] == ("sun",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hiden-size = 1", "unknown key 'hiden-size'; did you mean 'hidden-size'?"),
        ("hidden_size = 1", "unknown key 'hidden_size'; did you mean 'hidden-size'?"),
        ("zzzz = 1", "unknown key 'zzzz'"),
        ("config = 'x.toml'", "unknown key 'config'"),
        ("horizon = [1, 2]", "horizon in"),
        ("[train]\nhorizon = 1", "unknown key 'train'"),
        ("horizon = 'soon'", "'--horizon'"),
        ("horizon = 0", "'--horizon'"),
        ("horizon = ", "cannot be read"),
    ],
)
def test_bad_file_is_a_usage_error(grukit, config, text, message):
    outcome = grukit("train", "forecast", "d.csv", "-o", "m", "--config", config(text))
    assert outcome.code == 2
    assert message in outcome.err


def test_missing_file_is_a_usage_error(grukit):
    outcome = grukit("evaluate", "m", "d.csv", "--config", "nowhere.toml")
    assert outcome.code == 2
    assert "there is no file nowhere.toml" in outcome.err


def test_defaults_are_those_of_the_library(forecaster_arguments):
    given = forecaster_arguments()
    wanted = inspect.signature(Forecaster).parameters
    assert {"levels", *given} == set(wanted), "an argument of Forecaster has no option"
    for name, value in given.items():
        assert value == (FitConfig() if name == "training" else wanted[name].default), name
    levels = ", ".join(map(str, wanted["levels"].default))
    assert f"default {levels}." in {option.name: option.help for option in options()}["level"]


def test_validation_is_a_share_or_a_time(monkeypatch, tmp_path, grukit):
    seen = []

    class Fake:
        def __init__(self, **given):
            pass

        def fit(self, data, validation, **more):
            seen.append(validation)
            raise DataError("seen")

    monkeypatch.setattr("grukit.tasks.forecasting.Forecaster", Fake)
    for value in ("0.2", "2013-12-01"):
        grukit("train", "forecast", "d.csv", "-o", tmp_path / "m", "--validation", value)
    assert seen == [0.2, "2013-12-01"]


def options(command=None):
    command = command or typer.main.get_command(app)
    yield from command.params
    for child in getattr(command, "commands", {}).values():
        yield from options(child)


@pytest.mark.parametrize(
    "task", ["forecast", "anomaly", "generate", "sentiment", "translate", "transcribe", "words"]
)
def test_every_cell_can_be_asked_for(task, grukit, tmp_path):
    outcome = grukit("train", task, "data", "-o", tmp_path / "model", "--cell", "mgu")
    _, _, choices = outcome.err.partition("'mgu' is not one of ")
    names = {*LAYER_OF} | ({"gru_d"} if task == "forecast" else set())
    assert {*re.findall(r"'(\w+)'", choices)} == names


def test_everything_has_a_help_text():
    for option in options():
        assert option.help, option.name
        assert option.help.endswith((".", "!")), option.help


def test_every_command_answers_to_help(grukit):
    for words in (["train"], ["train", "forecast"], ["predict"], ["data", "fetch"], ["doctor"]):
        outcome = grukit(*words, "--help")
        assert outcome.code == 0
        assert outcome.out.startswith(f"Usage: grukit {' '.join(words)}")
        assert outcome.err == ""


def test_version(grukit):
    assert grukit("--version").out == f"grukit {__version__}\n"


def test_help_loads_nothing_heavy():
    heavy = {"torch", "numpy", "pandas", "narwhals", "matplotlib", "plotly", "scipy", "optuna"}
    code = "from grukit.cli.main import main; main(['--help'])"
    command = [sys.executable, "-X", "importtime", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "typer" in loaded
    assert not heavy & loaded

"""Exit codes and messages, whatever the command."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from grukit.cli.main import main
from grukit.core.errors import DataError, Interrupted, ParameterError
from grukit.data import catalog


def fail_with(monkeypatch, error):
    def path(name):
        raise error

    monkeypatch.setattr(catalog, "path", path)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("the data must be good"), 1, "grukit: error: the data must be good"),
        (ParameterError("x must be 1, got 2"), 2, "grukit: error: x must be 1, got 2"),
        (OSError(28, "No space left on device"), 1, "grukit: error: No space left on device"),
        (FileNotFoundError(2, "No such file", "a.csv"), 1, "grukit: error: No such file: a.csv"),
        (OSError("odd"), 1, "grukit: error: odd"),
        (KeyboardInterrupt(), 130, "grukit: interrupted"),
        (Interrupted(signal.SIGINT, "stopped, state saved"), 130, "grukit: stopped, state saved"),
        (Interrupted(signal.SIGTERM, "stopped"), 143, "grukit: stopped"),
    ],
)
def test_an_error_is_one_line_and_a_code(monkeypatch, grukit, error, code, line):
    fail_with(monkeypatch, error)
    outcome = grukit("data", "path", "nyc_weather")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", line + "\n")


def test_debug_lets_the_traceback_through(monkeypatch):
    fail_with(monkeypatch, DataError("the data must be good"))
    with pytest.raises(DataError):
        main(["--debug", "data", "path", "nyc_weather"])


def test_a_bug_is_not_dressed_up(monkeypatch):
    fail_with(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["data", "path", "nyc_weather"])


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("data", "path"), ("data", "list", "--nonsense"), ("demo", "nonsense")],
)
def test_wrong_usage_is_2_and_leaves_stdout_alone(grukit, arguments):
    outcome = grukit(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Usage: grukit" in outcome.err


def test_the_signal_handler_of_the_caller_comes_back(grukit):
    before = signal.getsignal(signal.SIGTERM)
    grukit("data", "list")
    assert signal.getsignal(signal.SIGTERM) is before


SLEEPER = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from grukit.cli.main import main
from grukit.data import catalog
def path(name):
    print("ready", flush=True)
    time.sleep(60)
catalog.path = path
{before}
main(["data", "path", "nyc_weather"])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_process_with_its_code(number, code):
    with start(SLEEPER.format(before="")) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        error = process.stderr.read()
    assert process.returncode == code
    assert error.startswith("grukit: ")
    assert "Traceback" not in error


def test_an_ignored_sigterm_stays_ignored():
    with start(SLEEPER.format(before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "grukit: interrupted\n"
    assert process.returncode == 130


def test_a_closed_stderr_keeps_the_code():
    with start(SLEEPER.format(before="")) as process:
        assert process.stdout.readline() == "ready\n"
        process.stderr.close()
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143


def test_a_closed_pipe_is_no_traceback():
    with start("from grukit.cli.main import main; main(['data', 'list'])") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_closed_stdout_is_no_traceback():
    code = "import sys; sys.stdout = None; from grukit.cli.main import main; main(['data', 'list'])"
    with start(code) as process:
        assert process.stderr.read() == ""
    assert process.returncode == 0


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

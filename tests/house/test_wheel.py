"""The package as it is installed: with its native core, alone, and without a compiler."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = "grukit/_native/libgrukit.so"
HEADER = "grukit/_native/include/grukit.h"
MIB = 2**20
USE = """
import grukit, sys
from grukit.core import clib
assert clib.why_missing() is None, clib.why_missing()
try:
    clib.forward(bytes(8 * len(clib.FIELDS)))
except clib.BackendError as error:
    print(grukit.__file__, clib.isa(), error, sep="\\n")
assert "torch" not in sys.modules
"""

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not importlib.util.find_spec("scikit_build_core"), reason="scikit-build-core is missing"
    ),
    pytest.mark.skipif(
        not (shutil.which("cmake") or importlib.util.find_spec("cmake")), reason="cmake is missing"
    ),
]
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="there is no C++ compiler"
)


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def make_wheel(folder: Path, *options: str, **environment: str) -> Path:
    """Build the wheel of this repository into a folder, without a look at the network."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index")
    outcome = run(
        *(*pip, "--no-deps", "--no-build-isolation", *options, "--wheel-dir", folder, ROOT),
        **environment,
    )
    if outcome.returncode:
        raise ChildProcessError(outcome.stdout + outcome.stderr)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, building):
    """The wheel, from objects that make has compiled already, if it has."""
    options = ("--config-settings", f"build-dir={ROOT / 'build' / 'core'}")
    with building():
        return make_wheel(tmp_path_factory.mktemp("wheel"), *options, GRUKIT_REQUIRE_NATIVE="1")


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """An environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    created = run(sys.executable, "-m", "venv", "--without-pip", folder)
    assert created.returncode == 0, created.stderr
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    installed = run(*pip, "install", "--no-index", "--no-deps", wheel)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return folder


@pytest.fixture(scope="module")
def library(wheel, tmp_path_factory):
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(LIBRARY, tmp_path_factory.mktemp("library")))


@needs_compiler
def test_the_wheel_serves_every_python(wheel):
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")


@needs_compiler
def test_the_wheel_holds_the_package_and_its_core(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "grukit/py.typed" in sources
    assert names == sources | {LIBRARY, HEADER}


@needs_compiler
def test_the_wheel_is_small(wheel, library):
    sizes = {path.name: path.stat().st_size / MIB for path in (wheel, library)}
    print(", ".join(f"{name}: {size:.2f} MiB" for name, size in sizes.items()))
    assert max(sizes.values()) < 3


@needs_compiler
def test_the_library_exports_the_c_interface_alone(library):
    listing = run("nm", "--dynamic", "--defined-only", "--format=posix", library).stdout
    exported = {line.split()[0] for line in listing.splitlines()}
    header = (ROOT / "csrc/include/grukit.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^GRUKIT_API [^(]*?(\w+)\(", header, flags=re.MULTILINE))
    assert "grukit_forward" in declared
    assert exported == declared


@needs_compiler
def test_the_library_needs_the_c_library_alone(library):
    listing = run("readelf", "--dynamic", "--wide", library).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[([\w+-]+)\.so", listing))
    assert "libc" in needed
    assert needed <= {"libc", "libm", "libpthread", "libdl", "ld-linux-x86-64", "ld-linux-aarch64"}


@needs_compiler
def test_the_wheel_works_alone(clean):
    outcome = run(clean / "bin" / "python", "-I", "-c", USE)
    assert outcome.returncode == 0, outcome.stderr
    file, isa, refusal = outcome.stdout.splitlines()
    assert Path(file).is_relative_to(clean)
    assert isa in ("scalar", "avx2", "avx512", "neon")
    assert refusal


@needs_compiler
def test_doctor_finds_the_installed_core(clean):
    """With the packages of this environment, but not its grukit."""
    packages = sysconfig.get_path("purelib")
    outcome = run(clean / "bin" / "grukit", "doctor", "--json", PYTHONPATH=packages)
    assert outcome.returncode == 0, outcome.stderr
    core = json.loads(outcome.stdout)["native core"]
    assert core["instructions"]
    header = Path(core["folder"], "include/grukit.h")
    assert header.is_relative_to(clean)
    assert header.read_bytes() == (ROOT / "csrc/include/grukit.h").read_bytes()


def test_without_a_compiler_the_package_installs_without_the_core(tmp_path):
    wheel = make_wheel(tmp_path, CXX="/bin/false", GRUKIT_REQUIRE_NATIVE="0")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert LIBRARY not in names
        assert "grukit/core/clib.py" in names
        archive.extractall(tmp_path)
    told = run(
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from grukit.core import clib; print(clib.why_missing())",
    )
    assert "installed without" in told.stdout


def test_a_core_that_is_required_and_does_not_build_is_an_error(tmp_path):
    with pytest.raises(ChildProcessError, match="GRUKIT_REQUIRE_NATIVE=0"):
        make_wheel(tmp_path, CXX="/bin/false", GRUKIT_REQUIRE_NATIVE="1")

"""The C++ tests of the native core pass, on this machine and, in qemu, on ARM."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = next(filter(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")), None)
LIMIT = pytest.mark.timeout(900)
FOREIGN = {
    "an inline function": "inline int twice(int x) { return 2 * x; } int (*use)(int) = twice;",
    "the standard library": "#include <vector>\nvoid use(std::vector<int> &v) { v.push_back(1); }",
}
OWN = """
namespace grukit {
template <class Work> void run(Work work) { work(); }
namespace avx2 {
static void local(int &x) { ++x; }
void use(int &x) { run([&] { local(x); }); }
}}
"""


def run(*command: object) -> str:
    """What a command prints; the test fails with it if the command does."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        pytest.fail(result.stdout[-10_000:], pytrace=False)
    return result.stdout


def run_cpp_tests(folder: Path, *options: object) -> None:
    """Build and run the C++ tests, in a folder that is kept for the next run."""
    if not shutil.which("cmake"):
        pytest.skip("there is no cmake")
    if not (folder / "CMakeCache.txt").exists() and shutil.which("ninja"):
        options += ("-G", "Ninja")
    run("cmake", "-S", ROOT, "-B", folder, "-DGRUKIT_TESTS=ON", *options)
    run("cmake", "--build", folder, "--target", "cpp_tests", "--parallel", 2)
    print(run("ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error"))


def foreign_symbols(thing: Path, isa: str) -> list[str]:
    """What an object defines for all others outside the namespace of its instruction set.

    The linker keeps one copy of an inline function for the whole library. Were it the copy of an
    object that was compiled for AVX-512, say, other CPUs would crash in it.
    """
    listing = run("nm", "--demangle", "--defined-only", "--extern-only", thing)
    lines = [line for line in listing.splitlines() if line]
    assert lines, f"{thing} defines nothing"
    return [line for line in lines if f"grukit::{isa}::" not in line]


def compiled(folder: Path, source: str) -> Path:
    text, thing = folder / "a.cpp", folder / "a.o"
    text.write_text(source)
    run(COMPILER, "-std=c++20", "-fno-exceptions", "-c", text, "-o", thing)
    return thing


needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


@LIMIT
@needs_compiler
def test_the_cpp_tests_pass(building):
    """With the kernels that make has compiled already, if it has."""
    folder = ROOT / "build" / "core"
    with building():
        run_cpp_tests(folder)
    objects = [
        (isa, folder / f"CMakeFiles/grukit_{isa}.dir/csrc/{part}/kernels.cpp.o")
        for isa in ("scalar", "avx2", "avx512", "neon")
        for part in ("rnn", "scan")
    ]
    built = [(isa, thing) for isa, thing in objects if thing.exists()]
    assert len(built) >= 2
    for isa, thing in built:
        assert foreign_symbols(thing, isa) == []


@LIMIT
@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-g++"), reason="no aarch64-linux-gnu-g++")
@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="there is no qemu-aarch64")
def test_the_cpp_tests_pass_on_arm():
    run_cpp_tests(ROOT / "build" / "neon", "--toolchain", "csrc/aarch64.cmake")


@needs_compiler
@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_symbol_is_found(name, tmp_path):
    assert foreign_symbols(compiled(tmp_path, FOREIGN[name]), "avx2")


@needs_compiler
def test_symbols_of_the_own_namespace_pass(tmp_path):
    assert not foreign_symbols(compiled(tmp_path, OWN), "avx2")

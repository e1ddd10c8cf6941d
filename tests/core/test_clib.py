from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from grukit.core import clib
from grukit.core.errors import BackendError

HEADER = Path(__file__).parents[2] / "csrc" / "include" / "grukit.h"
needs_core = pytest.mark.needs_core


def header() -> str:
    """The text of the header, without its comments."""
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)


def fields_of_the_header(struct_name: str = "grukit_call") -> list[str]:
    """The fields of a structure, in order, an array's with an index each."""
    bodies = re.findall(r"typedef struct \{([^}]*)\} (\w+);", header())
    (body,) = (body for body, name in bodies if name == struct_name)
    found = []
    for declaration in body.split(";")[:-1]:
        kinds = r"^\s*(const )?(int64_t|int32_t|uint8_t|void|float|double|grukit_arcs)\b"
        names = re.sub(kinds, "", declaration)
        for name in names.replace("*", "").split(","):
            word, _, count = name.strip().partition("[")
            found += [word] if not count else [f"{word}[{i}]" for i in range(int(count[:-1]))]
    return found


def test_the_fields_are_those_of_the_header():
    arrays = {
        "x_stride_model": "x_stride[0]",
        "x_stride_time": "x_stride[1]",
        "x_stride_batch": "x_stride[2]",
        "keep_h_is_rate": "keep_is_rate[0]",
        "keep_c_is_rate": "keep_is_rate[1]",
    }
    assert [arrays.get(name, name) for name in clib.FIELDS] == fields_of_the_header()


def test_the_fields_of_a_search_are_those_of_the_header():
    arcs = fields_of_the_header("grukit_arcs")
    found = []
    for name in fields_of_the_header("grukit_ctc_rules"):
        inside = name in ("lexicon", "ngrams", "phrases")
        found += [f"{name}.{field}" for field in arcs] if inside else [name]
    assert found == [*clib.CTC_FIELDS]
    body = re.findall(r"double ([\w, ]+);", header()[: header().index("} grukit_ctc_rules;")])
    doubles = {name for names in body for name in names.split(", ")}
    assert doubles == clib._DOUBLES
    assert len(clib.ctc_rules(*[0] * len(found))) == 8 * len(found)


def test_the_fields_of_a_scan_are_those_of_the_header():
    fields = fields_of_the_header("grukit_scan")
    assert fields == [*clib.SCAN_NUMBERS, *clib.SCAN_BUFFERS]
    values = [*range(len(clib.SCAN_NUMBERS)), *(2**63 + i for i in range(len(clib.SCAN_BUFFERS)))]
    assert [*struct.unpack(f"={len(fields)}Q", clib.scan(*values))] == values


def test_a_call_has_eight_bytes_for_every_field():
    values = [*range(len(clib.NUMBERS)), *(2**63 + i for i in range(42))]
    packed = clib.call(*values)
    assert len(packed) == 8 * len(clib.FIELDS)
    assert [*struct.unpack(f"={len(clib.FIELDS)}Q", packed)] == values


def test_numbers_are_those_of_the_header():
    text = header()
    numbers = dict(re.findall(r"GRUKIT_(\w+) = (\d+)", text))
    cells = {"_".join(names).strip("_").upper(): code for names, code in clib.CELLS.items()}
    known = {**cells, "F32": clib.FLOAT32, "BF16": clib.BFLOAT16, "OK": clib.OK}
    known |= {"NO_MEMORY": clib.NO_MEMORY}
    assert {name: int(numbers[name]) for name in known} == known
    assert re.findall(r"#define GRUKIT_ABI (\d+)", text) == [str(clib.ABI)]


def test_without_a_library_every_function_says_why(monkeypatch):
    monkeypatch.setattr(clib, "_loaded", lambda: (None, "no compiler"))
    assert clib.why_missing() == "no compiler"
    with pytest.raises(BackendError, match="the native core is missing: no compiler"):
        clib.library()


def test_no_file_is_a_missing_core(monkeypatch):
    monkeypatch.setattr(clib, "_find", lambda: None)
    library, why = clib._loaded.__wrapped__()
    assert library is None
    assert why == f"grukit was installed without {clib.NAME}, which takes a C++ compiler"


def test_a_file_that_is_no_library_is_a_missing_core(tmp_path):
    path = tmp_path / clib.NAME
    path.write_text("not a library")
    library, why = clib.load(str(path))
    assert library is None
    assert why.startswith(f"{clib.NAME} cannot be loaded: ")


@needs_core
def test_a_library_of_another_interface_is_a_missing_core(monkeypatch):
    there = clib.ABI
    monkeypatch.setattr(clib, "ABI", 0)
    assert clib.load(clib._find()) == (
        None,
        f"{clib.NAME} is of interface {there}, and not 0: install grukit again",
    )


@needs_core
def test_the_library_is_where_it_says():
    assert clib.why_missing() is None
    assert clib.library() is clib.library()


@needs_core
@pytest.mark.parametrize("run", [clib.forward, clib.backward, clib.Stream])
def test_what_the_core_refuses_is_raised_with_its_message(run):
    call = clib.call(*(0 for _ in clib.FIELDS))
    with pytest.raises(BackendError, match="models must be at least 1, got 0"):
        run(call, *(["gru"] if run is clib.Stream else []))


@needs_core
def test_the_size_and_threads_of_a_call_that_is_not_valid_are_zero():
    call = clib.call(*(0 for _ in clib.FIELDS))
    assert clib.packed_bytes(call) == clib.threads(call) == 0


@needs_core
def test_every_instruction_set_can_be_chosen(each_isa):
    assert clib.isa() == each_isa
    assert clib.library().grukit_isa().decode() == each_isa


@needs_core
def test_an_instruction_set_that_cannot_run_is_refused():
    before = clib.isa()
    possible = ", ".join(repr(isa) for isa in clib.isas() if isa in clib.SETS)
    with pytest.raises(BackendError) as error:
        clib.set_isa("sse9")
    assert str(error.value) == (
        f"the instruction set must be one of {possible} on this machine, got 'sse9'"
    )
    assert clib.isa() == before


def run_with(monkeypatch, isa: str, statement: str) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("GRUKIT_ISA", isa)
    code = f"from grukit.core import clib; {statement}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@needs_core
def test_the_environment_chooses_the_instruction_set(monkeypatch):
    assert run_with(monkeypatch, "scalar", "print(clib.isa())").stdout == "scalar\n"


@needs_core
def test_an_impossible_instruction_set_in_the_environment_is_told(monkeypatch):
    found = run_with(monkeypatch, "mmx", "clib.why_missing()")
    assert found.returncode
    assert "BackendError: GRUKIT_ISA must be one of '" in found.stderr
    assert found.stderr.endswith("'scalar' on this machine, got 'mmx'\n")


def test_loading_the_core_loads_no_torch():
    load = "import sys; from grukit.core import clib; clib.why_missing()"
    code = f"{load}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"

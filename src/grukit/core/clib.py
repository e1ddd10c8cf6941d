"""The native core, through its C interface: csrc/include/grukit.h says what everything means.

Buffers are addresses. A call is bytes, made by `call`; several, joined, run side by side. Every
function raises BackendError if the core is missing, and for what it refuses.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grukit.core import env
from grukit.core.errors import BackendError, must_be

ABI = 4
NAME = "libgrukit.dylib" if sys.platform == "darwin" else "libgrukit.so"

CELLS = {
    ("gru", "after"): 0,
    ("gru", "before"): 1,
    ("lstm", ""): 2,
    ("rnn", "tanh"): 3,
    ("rnn", "relu"): 4,
}
"""grukit_cell, by the names of a cell and of its variant."""
FLOAT32, BFLOAT16 = 0, 1

NUMBERS = (
    "cell",
    "dtype",
    "quantized",
    "models",
    "time",
    "batch",
    "input",
    "hidden",
    "projected",
    "reverse",
    "save",
    "threads",
    "x_stride_model",
    "x_stride_time",
    "x_stride_batch",
    "keep_h_is_rate",
    "keep_c_is_rate",
)
INPUTS = (
    "x",
    "h0",
    "w_ih",
    "w_hh",
    "b_ih",
    "b_hh",
    "c0",
    "w_hr",
    "gain_ih",
    "gain_hh",
    "gain_c",
    "bias_c",
    "fresh_h",
    "fresh_c",
    "drop_h",
    "drop_n",
    "keep_h",
    "keep_c",
    "lengths",
    "resets",
)
RESULTS = ("output", "h", "c", "reserve")
COTANGENTS = ("d_output", "d_h", "d_c")
GRADIENTS = tuple(f"d{name}" for name in INPUTS[: INPUTS.index("drop_h")])
FIELDS = (*NUMBERS, *INPUTS, *RESULTS, *COTANGENTS, *GRADIENTS, "packed")
"""The fields of grukit_call, in order."""

call = struct.Struct(f"={len(NUMBERS)}q{len(FIELDS) - len(NUMBERS)}Q").pack
"""A call, of the values of FIELDS; an address is 0 where there is no buffer."""

SCAN_NUMBERS = (
    "models",
    "time",
    "batch",
    "hidden",
    "positive",
    "reverse",
    "threads",
    "keep_is_rate",
)
SCAN_BUFFERS = (
    *("gates", "h0", "fresh_h", "drop_n", "keep_h", "lengths", "resets"),
    *("output", "h", "update", "memory", "d_output", "d_h", "d_gates", "dh0", "dfresh_h"),
)
"""The fields of grukit_scan, in order: first SCAN_NUMBERS, then these."""

scan = struct.Struct(f"={len(SCAN_NUMBERS)}q{len(SCAN_BUFFERS)}Q").pack
"""A minGRU over time, of the values of its fields; an address is 0 where there is no buffer."""

CTC_FIELDS = (
    *("vocabulary", "beam", "window", "least", "letters_begin", "letters"),
    *("weight", "bonus", "unknown", "unknown_chance", "closed"),
    *("lexicon.nodes", "lexicon.begin", "lexicon.label", "lexicon.next", "word", "ahead"),
    *("ngrams.nodes", "ngrams.begin", "ngrams.label", "ngrams.next"),
    *("chance", "backoff", "shorter", "start", "unknown_word", "end_word"),
    *("phrases.nodes", "phrases.begin", "phrases.label", "phrases.next"),
    *("fail", "held", "complete", "phrases_start", "asks_tokens", "token_weight"),
)
"""The fields of grukit_ctc_rules, in order, those of a grukit_arcs with its name."""
_DOUBLES = {"window", "least", "weight", "bonus", "unknown", "unknown_chance", "token_weight"}

ctc_rules = struct.Struct("=" + "".join("d" if f in _DOUBLES else "q" for f in CTC_FIELDS)).pack
"""Rules of a search, of the values of CTC_FIELDS; an address is 0 where there is no buffer."""

_nothing = ctypes.create_string_buffer(64)
EMPTY = ctypes.addressof(_nothing)
"""The address of a buffer that is there and holds no elements."""

OK, NO_MEMORY = 0, 2

SETS = ("avx512", "avx2", "neon", "scalar")
"""The instruction sets that there are kernels for."""


def library() -> Any:
    """The functions of the header; BackendError if there is no core."""
    found, problem = _loaded()
    if found is None:
        raise BackendError(f"the native core is missing: {problem}")
    return found


def folder() -> Path:
    """The folder of the library, and of include/grukit.h; BackendError if there is no core."""
    return Path(library()._name).parent


def why_missing() -> str | None:
    """Why there is no native core, or None if there is one."""
    return _loaded()[1]


@functools.cache
def isa() -> str:
    """The instruction set of the kernels that run, one of SETS."""
    return library().grukit_isa().decode()


def isas() -> tuple[str, ...]:
    """The instruction sets that this machine can run, the best first, and extensions in use."""
    return _isas(library())


def set_isa(name: str) -> None:
    """Run the kernels of this instruction set from now on; not while a call runs."""
    _set_isa(library(), name, "the instruction set")
    isa.cache_clear()


def threads(calls: bytes, count: int = 1, *, backward: bool = False) -> int:
    """The threads on which calls would run, of those they allow."""
    return library().grukit_threads(calls, count, backward)


def forward(calls: bytes, count: int = 1) -> None:
    """Run calls forward."""
    library().grukit_forward(calls, count)


def forward_stack(address: int, count: int) -> None:
    """Run so many calls at an address forward, each on the output of the one before."""
    library().grukit_forward_stack(address, count)


def backward(calls: bytes, count: int = 1) -> None:
    """Run calls backward."""
    library().grukit_backward(calls, count)


def packed_bytes(call: bytes) -> int:
    """The size of the packed weights of a call."""
    return library().grukit_packed_bytes(call)


def pack(call: bytes, packed: int) -> None:
    """Pack the weights of a call, to an address that is a multiple of 64."""
    library().grukit_pack(call, packed)


def scan_forward(scan: bytes) -> None:
    """Run a minGRU forward."""
    library().grukit_scan_forward(scan)


def scan_backward(scan: bytes) -> None:
    """Run a minGRU backward."""
    library().grukit_scan_backward(scan)


class Stream:
    """A stream of a call's cell and weights, which it copies; of one thread at a time.

    step: step(handle, x, h, y) or, for an LSTM, step(handle, x, h, c, y), all addresses.
    """

    def __init__(self, call: bytes, cell: str) -> None:
        functions = library()
        handle = ctypes.c_void_p()
        functions.grukit_open(call, ctypes.byref(handle))
        self.handle = handle.value
        self.step = getattr(functions, f"grukit_{cell}_step")
        self._close = functions.grukit_close

    def __del__(self) -> None:
        if hasattr(self, "_close"):
            self._close(self.handle)


class CtcRules:
    """Rules of searches, which the core has copied."""

    def __init__(self, rules: bytes) -> None:
        functions = library()
        handle = ctypes.c_void_p()
        functions.grukit_ctc_open(rules, ctypes.byref(handle))
        self.handle = handle.value
        self._close = functions.grukit_ctc_close

    def __del__(self) -> None:
        if hasattr(self, "_close"):
            self._close(self.handle)


class CtcSearch:
    """A search by some rules; of one thread at a time.

    Its methods take addresses: csrc/include/grukit.h says of what.
    """

    def __init__(self, rules: CtcRules) -> None:
        self._functions = functions = library()
        handle = ctypes.c_void_p()
        functions.grukit_search_open(rules.handle, ctypes.byref(handle))
        self.handle = handle.value
        self._close = functions.grukit_search_close

    def reset(self) -> None:
        self._functions.grukit_search_reset(self.handle)

    def wanted(self, *addresses: int) -> None:
        self._functions.grukit_search_wanted(self.handle, *addresses)

    def give(self, chances: int) -> None:
        self._functions.grukit_search_give(self.handle, chances)

    def rank(self, final: bool, *addresses: int) -> None:
        self._functions.grukit_search_rank(self.handle, final, *addresses)

    def read(self, rank: int, *addresses: int) -> None:
        self._functions.grukit_search_read(self.handle, rank, *addresses)

    def __del__(self) -> None:
        if hasattr(self, "_close"):
            self._close(self.handle)


def push_ctc(
    searches: int, count: int, log_probs: int, frames: int, taken: int, threads: int
) -> None:
    """Let searches go on side by side; all but the counts are addresses of arrays."""
    library().grukit_search_push(searches, count, log_probs, frames, taken, threads)


def _find() -> str | None:
    """The path of the library: beside the sources, or where an editable install has put it."""
    package = find_spec("grukit")
    folders = (package and package.submodule_search_locations) or ()
    paths = [Path(folder, "_native", NAME) for folder in folders]
    return next((str(path) for path in paths if path.is_file()), None)


@functools.cache
def _loaded() -> tuple[Any, str | None]:
    """The library, or None and why. BackendError if GRUKIT_ISA names what cannot run here."""
    path = _find()
    if path is None:
        return None, f"grukit was installed without {NAME}, which takes a C++ compiler"
    return load(path)


def load(path: str) -> tuple[Any, str | None]:
    """The library at a path, or None and why."""
    try:
        found = ctypes.CDLL(path)
    except OSError as error:
        return None, f"{NAME} cannot be loaded: {error}"
    found.grukit_abi.restype = ctypes.c_int64
    if (abi := found.grukit_abi()) != ABI:
        return None, f"{NAME} is of interface {abi}, and not {ABI}: install grukit again"
    _declare(found)
    if wanted := env.isa():
        _set_isa(found, wanted, "GRUKIT_ISA")
    return found, None


def _declare(found: Any) -> None:
    """The types of every function; a status that is not OK is raised."""

    def status(code: int) -> None:
        if code != OK:
            message = found.grukit_message().decode()
            raise MemoryError(message) if code == NO_MEMORY else BackendError(message)

    text, address, size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64
    types: dict[str, tuple[Any, ...]] = {
        "isa": (text,),
        "isas": (text,),
        "message": (text,),
        "set_isa": (ctypes.c_int, text),
        "threads": (size, text, size, size),
        "packed_bytes": (ctypes.c_size_t, text),
        "pack": (status, text, address),
        "forward": (status, text, size),
        "forward_stack": (status, address, size),
        "backward": (status, text, size),
        "scan_forward": (status, text),
        "scan_backward": (status, text),
        "open": (status, text, ctypes.POINTER(address)),
        "close": (None, address),
        "gru_step": (status, address, address, address, address),
        "rnn_step": (status, address, address, address, address),
        "lstm_step": (status, address, address, address, address, address),
        "ctc_open": (status, text, ctypes.POINTER(address)),
        "ctc_close": (None, address),
        "search_open": (status, address, ctypes.POINTER(address)),
        "search_close": (None, address),
        "search_reset": (status, address),
        "search_push": (status, address, size, address, address, address, size),
        "search_wanted": (status, *[address] * 5),
        "search_give": (status, address, address),
        "search_rank": (status, address, size, *[address] * 5),
        "search_read": (status, address, size, *[address] * 3),
    }
    for name, (result, *arguments) in types.items():
        function = getattr(found, f"grukit_{name}")
        function.restype, function.argtypes = result, arguments


def _isas(found: Any) -> tuple[str, ...]:
    return tuple(found.grukit_isas().decode().split())


def _set_isa(found: Any, name: str, what: str) -> None:
    if found.grukit_set_isa(name.encode()) != OK:
        known = ", ".join(repr(isa) for isa in _isas(found) if isa in SETS)
        raise BackendError(must_be(what, f"one of {known} on this machine", name))

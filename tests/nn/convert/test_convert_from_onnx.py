"""Models of ONNX as layers, against ONNX Runtime's own results."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from convert_cases import (
    FORMS,
    INPUT,
    B,
    H,
    T,
    assert_same_weights,
    compare,
    random_layer,
    run,
)
from onnx_cases import IN_ONNX, by_hand, chain, onnx, run_onnx, runtime, weights

from grukit.core.errors import ParameterError
from grukit.nn.convert import from_onnx, onnx_reader, to_onnx

reference = pytest.importorskip("onnx.reference", reason="onnx is not installed")
every_form = pytest.mark.parametrize("form", FORMS)
every_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
every_way = pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
every_depth = pytest.mark.parametrize("num_layers", [1, 2])


@every_depth
@every_way
@every_bias
@every_form
def test_from_onnx(form, bias, bidirectional, num_layers):
    model = chain(form, num_layers, bidirectional, bias)
    layer = from_onnx(model)
    assert type(layer) is FORMS[form][0]
    assert layer.bias == bias
    x = torch.randn(T, B, INPUT)
    compare(run(layer, x)[:2], run_onnx(runtime(model), x=x))


@pytest.mark.parametrize("form", ["gru reset after", "gru reset before", "lstm", "rnn tanh"])
def test_layout_1_is_batch_first(form):
    """ONNX Runtime refuses layout 1, so the reference of ONNX judges."""
    kind, attributes = IN_ONNX[form]
    attributes = ", ".join(filter(None, [attributes, "layout=1"]))
    model = by_hand(
        f"y, h = {kind} <{attributes}> (x, W, R, B) out = Squeeze (y, two)",
        {**weights(kind), "two": [2]},
        f"float[B,T,{INPUT}] x",
    )
    layer = from_onnx(model)
    assert layer.batch_first
    x = torch.randn(B, T, INPUT)
    (wanted,) = reference.ReferenceEvaluator(model).run(None, {"x": x.numpy()})
    compare(run(layer, x)[:1], [wanted])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed sizes", "free sizes"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@every_way
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_from_torchs_own_export(kind, bidirectional, batch_first, dynamic):
    theirs = getattr(torch.nn, kind)(
        INPUT, H, 2, bidirectional=bidirectional, batch_first=batch_first
    ).eval()
    x, file = torch.randn(T, B, INPUT), io.BytesIO()
    axes = {"x": {0: "first", 1: "second"}} if dynamic else None
    torch.onnx.export(theirs, (x,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    layer = from_onnx(onnx.load_from_string(file.getvalue()))
    assert layer.batch_first == batch_first
    with torch.no_grad():
        compare(run(layer, x)[:1], theirs(x)[:1])


def test_what_stands_around_the_chain_is_not_read():
    constants = {**weights(inputs=8), "table": np.random.randn(30, 8).astype(np.float32)}
    constants |= {"one": [1], "head": np.random.randn(H, 2).astype(np.float32)}
    model = by_hand(
        "x = Gather (table, words) y, h = GRU <linear_before_reset=1, hidden_size=4> (x, W, R, B) "
        "s = Squeeze (y, one) out = MatMul (s, head)",
        constants,
        "int64[T,B] words",
    )
    layer = from_onnx(model)
    words = torch.randint(30, (T, B))
    output, _ = run(layer, torch.from_numpy(constants["table"])[words])
    compare([output @ torch.from_numpy(constants["head"])], run_onnx(runtime(model), words=words))


@pytest.mark.parametrize("external", [False, True], ids=["one file", "data beside it"])
def test_from_a_path(tmp_path, external):
    layer = random_layer("lstm", 2)
    path = tmp_path / "model.onnx"
    onnx.save(
        to_onnx(layer), path, save_as_external_data=external, location="data", size_threshold=0
    )
    assert (tmp_path / "data").exists() == external
    assert_same_weights(from_onnx(path), layer)
    assert_same_weights(from_onnx(str(path)), layer)


def test_a_path_of_nothing_and_a_path_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "model.onnx")
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(ParameterError, match="model must be a sound model of ONNX"):
        from_onnx(path)


def test_data_that_is_not_in_the_model_is_not_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(to_onnx(random_layer("lstm")), "m.onnx", save_as_external_data=True, size_threshold=0)
    model = onnx.load("m.onnx", load_external_data=False)
    with pytest.raises(ParameterError, match="must be in the model, got a file: load it"):
        from_onnx(model)


def test_data_outside_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 3 * H * INPUT))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "model.onnx"
    model = by_hand(NODE.format("", "x, W, R, B"), weights())
    for tensor in model.graph.initializer:
        if tensor.name == "W":
            onnx.external_data_helper.set_external_data(tensor, "../secret")
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ParameterError, match="model must be a sound model of ONNX"):
        from_onnx(path)
    with pytest.raises(ParameterError):
        from_onnx(model)


NODE = "y, h = GRU {} ({}) out = Squeeze <axes=[1]> (y)"


def one(attributes="", given="x, W, R, B", kind="GRU", **changes):
    """A model of one node, with some constants changed; what is None is no constant."""
    constants = {**weights(kind), **changes}
    constants = {name: array for name, array in constants.items() if array is not None}
    text = f"y, h = {kind} {attributes} ({given}) out = Identity (y)"
    return by_hand(text, constants, outputs="float[T,D,B,H] out")


def two(link, first="GRU", second="GRU", ways="", **changes):
    """A model of two nodes, the second of which takes what `link` makes of y as x1."""
    directions = 1 + bool(ways)
    ways = ", ".join(filter(None, [f"hidden_size={H}", ways]))
    constants = {
        **weights(first, directions, suffix="0"),
        **weights(second, directions, directions * H, suffix="1"),
        "zero": [0],
        "one": [1],
        "two": [2],
        "merged": [0, 0, directions * H],
        **changes,
    }
    return by_hand(
        f"y, h = {first} <{ways}> (x, W0, R0, B0) {link} "
        f"z, h1 = {second} <{ways}> (x1, W1, R1, B1) out = Identity (z)",
        constants,
        outputs="float[T,D,B,H] out",
    )


BOTH = 'direction="bidirectional"'
ZEROS = np.zeros((1, B, H), np.float32)
REFUSED = {
    "reverse": (lambda: one('<direction="reverse">'), "direction .* must be 'forward' or"),
    "clip": (lambda: one("<clip=1.5>"), "clip of GRU 'y' must be absent, got 1.5"),
    "alpha": (lambda: one("<activation_alpha=[1.5]>"), "activation_alpha .* must be absent"),
    "other activations": (
        lambda: one('<activations=["HardSigmoid", "Tanh"]>'),
        "activations .* must be .* got .'hardsigmoid', 'tanh'.",
    ),
    "activations of one way": (
        lambda: two("x1 = Identity (y)", ways=f'{BOTH}, activations=["Tanh"]'),
        "activations",
    ),
    "coupled gates": (lambda: one("<input_forget=1>", kind="LSTM"), "input_forget .* must be 0"),
    "peepholes": (
        lambda: one(kind="LSTM", given="x, W, R, B, , , , P", P=np.zeros((1, 3 * H), np.float32)),
        "no layer of grukit has peepholes",
    ),
    "lengths within": (
        lambda: one(given="x, W, R, B, n", n=np.array([6, 6, 6], np.int32)),
        "sequence_lens .* must be no constant",
    ),
    "a state within": (
        lambda: one(given="x, W, R, B, , s", s=ZEROS + 1),
        "initial_h .* must be no constant, except for a state of zero",
    ),
    "no recurrent node": (
        lambda: by_hand("out = Identity (x)", {}),
        "model must have a GRU, LSTM or RNN node, got none",
    ),
    "weights that are computed": (
        lambda: by_hand(
            "V = Identity (W) y, h = GRU (x, V, R, B) out = Identity (y)",
            weights(),
            outputs="float[T,D,B,H] out",
        ),
        "W .* must be a constant; fold",
    ),
    "hidden size": (lambda: one("<hidden_size=5>"), "hidden_size .* must be 4, as R"),
    "W of other rows": (
        lambda: one(W=weights()["W"][:, 1:]),
        r"W .* must be of shape \[1, 12, 5\], got \[1, 11, 5\]",
    ),
    "W of two axes": (lambda: one(W=weights()["W"][0]), "W .* must be of shape"),
    "R of no axes": (lambda: one(R=np.float32(1)), "of shape"),
    "R of other rows": (lambda: one(R=weights()["R"][:, 1:]), "R .* must be of shape"),
    "B of one bias": (lambda: one(B=weights()["B"][:, : 3 * H]), "B .* must be of shape"),
    "weights of one way": (lambda: one(f"<{BOTH}>"), r"W .* must be of shape \[2, 12, 5\]"),
    "integers": (lambda: one(W=weights()["W"].astype(np.int32)), "dtype must be one of"),
    "two dtypes": (lambda: one(W=weights()["W"].astype(np.float64)), "dtype must be the same"),
    "two kinds": (
        lambda: two("x1 = Squeeze (y, one)", second="LSTM"),
        "the kind of node must be the same",
    ),
    "widths that do not fit": (
        lambda: two("x1 = Squeeze (y, one)", W1=weights(inputs=7)["W"]),
        r"w_ih of layer 1 must be of shape \[12, 4\], got \[12, 7\]",
    ),
    "something between": (
        lambda: two("s = Squeeze (y, one) x1 = Relu (s)"),
        "through Transpose, Squeeze and Reshape alone, got the output of Relu 'x1'",
    ),
    "side by side": (
        lambda: two("x1 = Identity (x)", W1=weights()["W"]),
        "X of GRU 'z' must be the output of GRU 'y'",
    ),
    "the final state": (lambda: two("x1 = Identity (h)"), "X of GRU 'z' must be the output"),
    "another axis squeezed": (lambda: two("x1 = Squeeze (y, two)"), "X of GRU 'z' must be"),
    "an axis that is none": (
        lambda: two("x1 = Squeeze (y, far)", far=[9]),
        "X of GRU 'z' must be",
    ),
    "all axes squeezed": (lambda: two("x1 = Squeeze (y)"), "X of GRU 'z' must be"),
    "no axis squeezed": (lambda: two("x1 = Transpose (y)"), "X of GRU 'z' must be"),
    "time and batch swapped": (
        lambda: two("s = Squeeze (y, one) x1 = Transpose <perm=[1, 0, 2]> (s)"),
        r"as \[T, B, D \* H\], got \['B', 'T', 'H'\]",
    ),
    "no permutation": (
        lambda: two("s = Squeeze (y, one) x1 = Transpose <perm=[0, 0, 2]> (s)"),
        "X of GRU 'z' must be",
    ),
    "directions one after the other": (
        lambda: two("x1 = Reshape (y, merged)", ways=BOTH),
        "X of GRU 'z' must be .* got 'other sizes'",
    ),
    "another reshape": (
        lambda: two(
            "t = Transpose <perm=[0, 2, 1, 3]> (y) x1 = Reshape (t, merged)",
            ways=BOTH,
            merged=[-1, 2 * H],
        ),
        "X of GRU 'z' must be .* got 'other sizes'",
    ),
    "a cycle": (
        lambda: two("s = Squeeze (x1, one) x1 = Squeeze (s, one)"),
        "model must be a sound model of ONNX",
    ),
    "an attribute of another type": (
        lambda: one("<direction=1>"),
        "model must be a sound model of ONNX",
    ),
    "no model": (lambda: b"model", "model must be an onnx.ModelProto or the path of one"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_layer_of_ours_does_is_refused(what):
    make, message = REFUSED[what]
    with pytest.raises(ParameterError, match=message):
        from_onnx(make())


def test_a_tensor_that_is_not_as_it_says_is_refused():
    model = one()
    model.graph.initializer[0].dims[2] = 2**40
    with pytest.raises(ParameterError, match=r"must be a (sound model|tensor as it says)"):
        from_onnx(model)


def test_links_that_are_sound_pass():
    for link, ways in (
        ("x1 = Squeeze (y, one)", ""),
        ("t = Transpose <perm=[0, 2, 1, 3]> (y) x1 = Reshape (t, merged)", ""),
        ("t = Transpose <perm=[0, 2, 1, 3]> (y) x1 = Reshape (t, merged)", BOTH),
        ("x1 = Reshape (y, sizes)", ""),
    ):
        model = two(link, ways=ways, sizes=[T, B, H])
        layer, x = from_onnx(model), torch.randn(T, B, INPUT)
        (wanted,) = run_onnx(runtime(model), x=x)
        compare(run(layer, x)[:1], [wanted.swapaxes(1, 2).reshape(T, B, -1)])


def test_an_initial_state_of_zero_passes():
    from_onnx(one(given="x, W, R, B, , s", s=ZEROS))


def swap_gates(monkeypatch):
    monkeypatch.setitem(onnx_reader.ORDER, "GRU", (0, 1, 2))


def swap_gates_of_lstm(monkeypatch):
    monkeypatch.setitem(onnx_reader.ORDER, "LSTM", (0, 3, 1, 2))


def swap_biases(monkeypatch):
    def swapped(weights, order):
        return reordered(weights._replace(b_ih=weights.b_hh, b_hh=weights.b_ih), order)

    reordered = onnx_reader.reordered
    monkeypatch.setattr(onnx_reader, "reordered", swapped)


SABOTAGE = {
    swap_gates: "gru reset after",
    swap_gates_of_lstm: "lstm",
    swap_biases: "gru reset after",
}


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_the_comparison_sees_a_wrong_conversion(monkeypatch, sabotage):
    sabotage(monkeypatch)
    with pytest.raises(AssertionError, match="output differs"):
        test_from_onnx(SABOTAGE[sabotage], True, False, 1)

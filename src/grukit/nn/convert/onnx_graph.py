"""A graph of ONNX as from_onnx reads it: constants, and the way from one node to the next."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from grukit.core.errors import ParameterError, must_be


class Graph:
    """The nodes of a graph in their order, who makes what, and what is constant."""

    def __init__(self, onnx: ModuleType, graph: Any) -> None:
        self._onnx = onnx
        self.nodes = list(graph.node)
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}

    def attributes(self, node: Any) -> dict[str, Any]:
        """The attributes of a node by name."""
        value_of = self._onnx.helper.get_attribute_value
        return {attribute.name: value_of(attribute) for attribute in node.attribute}

    def constant(self, name: str) -> np.ndarray | None:
        """The value of a constant; None for what is none."""
        tensor = self._initializers.get(name)
        if tensor is None and name in self.makers and self.makers[name].op_type == "Constant":
            attributes = self.attributes(self.makers[name])
            if "value_ints" in attributes:
                return np.array(attributes["value_ints"])
            tensor = attributes.get("value")
        if tensor is None:
            return None
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            raise ParameterError(f"{name} must be in the model, got a file: load it from its path")
        try:
            return self._onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            raise ParameterError(f"{name} must be a tensor as it says: {error}") from error

    def check_link(self, before: Any, after: Any, directions: int, batch_first: bool) -> None:
        """ParameterError unless `after` takes the output of `before`, directions side by side.

        Follows the axes T, B, D and H from one to the other. A Reshape to sizes that the graph
        computes cannot be followed without running it, so its first two are taken to be as
        they were.
        """
        outer = ["B", "T"] if batch_first else ["T", "B"]
        axes = ["B", "T", "D", "H"] if batch_first else ["T", "D", "B", "H"]
        for node in self._between(before, after):
            axes = self._moved(node, axes, outer, directions)
        if axes != [*outer, "H"]:
            wanted = f"the output of {name_of(before)} as [{', '.join(outer)}, D * H]"
            raise ParameterError(must_be(f"X of {name_of(after)}", wanted, axes or "other sizes"))

    def _between(self, before: Any, after: Any) -> list[Any]:
        path: list[Any] = []
        name = after.input[0]
        while name not in before.output[:1]:
            node = self.makers.get(name)
            if node is None or node.op_type not in ("Transpose", "Squeeze", "Reshape"):
                got = f"input {name!r}" if node is None else f"the output of {name_of(node)}"
                raise ParameterError(
                    f"X of {name_of(after)} must be the output of {name_of(before)}, through "
                    f"Transpose, Squeeze and Reshape alone, got {got}; cut out one chain of "
                    "nodes with onnx.utils.extract_model"
                )
            path.insert(0, node)
            name = node.input[0]
        return path

    def _moved(self, node: Any, axes: list[str], outer: list[str], directions: int) -> list[str]:
        """The axes after a node, none if it may mix them up."""
        attributes = self.attributes(node)
        if node.op_type == "Transpose":
            order = list(attributes.get("perm", range(len(axes))[::-1]))
            return [axes[at] for at in order] if sorted(order) == list(range(len(axes))) else []
        given = self.constant(node.input[1]) if len(node.input) > 1 else attributes.get("axes")
        given = None if given is None else np.ravel(given).tolist()
        without = [axis for axis in axes if axis != "D"] if directions == 1 else axes
        if node.op_type == "Squeeze":
            at = axes.index("D") if "D" in axes else None
            return without if at is not None and given in ([at], [at - len(axes)]) else []
        if without not in ([*outer, "H"], [*outer, "D", "H"]):
            return []
        if given is not None:
            copied = [axes[at] == outer[at] for at, size in enumerate(given[:2]) if size == 0]
            if len(given) != 3 or not all(copied):
                return []
        return [*outer, "H"]


def name_of(node: Any) -> str:
    """How an error names a node."""
    return f"{node.op_type} {node.name or ''.join(node.output[:1])!r}"

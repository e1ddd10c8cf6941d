"""Layers of other libraries as layers of grukit, and back."""

from grukit.nn.convert.keras_layers import from_keras, to_keras
from grukit.nn.convert.onnx_reader import from_onnx
from grukit.nn.convert.onnx_writer import to_onnx
from grukit.nn.convert.torch_modules import from_torch, to_torch

__all__ = ["from_keras", "from_onnx", "from_torch", "to_keras", "to_onnx", "to_torch"]

"""Keras on torch; it reads its backend when it is first imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

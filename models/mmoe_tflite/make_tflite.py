"""Write net.tflite: the network of ../mmoe with its weights, by TensorFlow's converter.

    python -m venv tfenv
    tfenv/bin/pip install tensorflow-cpu==2.19.1 keras==3.12.4 numpy==1.26.4
    tfenv/bin/python models/mmoe_tflite/make_tflite.py [WEIGHTS.safetensors [FILE.tflite]]

The same layers in Keras; no optimization of the converter's, so every number is a float32. Two
runs wrote the same bytes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent
EXPERTS, TASKS = 4, 2
Weights = dict[str, np.ndarray]


def read_weights(path: Path) -> Weights:
    """A safetensors file of float32 alone: u64 header length, JSON header, data."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    weights = {}
    for name, told in json.loads(raw[8:start]).items():
        if name != "__metadata__":
            begin, end = told["data_offsets"]
            flat = np.frombuffer(raw[start + begin : start + end], np.float32)
            weights[name] = flat.reshape(told["shape"])
    return weights


class Lookup(tf.keras.layers.Layer):
    """An embedding. Keras's own computes with the ids first, to let negative ones count back."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = self.add_weight(shape=(rows, width), name="table")

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.table, ids)


def build(weights: Weights) -> tf.keras.Model:
    """user float32 [1, 16], item int64 [1, 3] -> two of [1, 2], as ../mmoe/net.py:build."""
    user = tf.keras.Input((16,), batch_size=1, name="user")
    item = tf.keras.Input((3,), batch_size=1, dtype="int64", name="item")
    table = weights["embedding.weight"]
    embedded = with_weights(Lookup(*table.shape), [table], item)
    x = tf.keras.layers.Concatenate()([user, tf.keras.layers.Flatten()(embedded)])
    results = [perceptron(weights, f"experts.{i}", x, "relu") for i in range(EXPERTS)]
    rows = [tf.keras.layers.Reshape((1, 32))(result) for result in results]
    experts = tf.keras.layers.Concatenate(axis=1)(rows)  # [1, experts, 32]
    scores = [task(weights, number, x, experts) for number in range(TASKS)]
    return tf.keras.Model([user, item], scores)


def task(weights: Weights, number: int, x: tf.Tensor, experts: tf.Tensor) -> tf.Tensor:
    """The scores of one task: its gate's mix of the experts, through its tower."""
    gate = dense(weights, f"gates.{number}", x, "softmax")
    shares = tf.keras.layers.Reshape((EXPERTS, 1))(gate)
    mixed = tf.keras.ops.sum(tf.keras.layers.Multiply()([shares, experts]), axis=1)
    return perceptron(weights, f"towers.{number}", mixed)


def perceptron(weights: Weights, name: str, x: tf.Tensor, last: str | None = None) -> tf.Tensor:
    """Two layers with ReLU between them, and `last` after them."""
    return dense(weights, f"{name}.2", dense(weights, f"{name}.0", x, "relu"), last)


def dense(weights: Weights, name: str, x: tf.Tensor, activation: str | None) -> tf.Tensor:
    kernel, bias = weights[f"{name}.weight"].T, weights[f"{name}.bias"]
    return with_weights(tf.keras.layers.Dense(len(bias), activation), [kernel, bias], x)


def with_weights(
    layer: tf.keras.layers.Layer, weights: list[np.ndarray], x: tf.Tensor
) -> tf.Tensor:
    """The layer's result; its weights exist only once it has been called."""
    y = layer(x)
    layer.set_weights(weights)
    return y


def convert(model: tf.keras.Model) -> bytes:
    """The file, with the signature's names user, item, task1 and task2."""
    user = tf.TensorSpec((1, 16), tf.float32, name="user")
    item = tf.TensorSpec((1, 3), tf.int64, name="item")

    def serve(user: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        first, second = model([user, item], training=False)
        return {"task1": first, "task2": second}

    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, [user, item])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def main(
    weights: str = f"{HERE.parent}/mmoe/weights.safetensors", out: str = f"{HERE}/net.tflite"
) -> None:
    Path(out).write_bytes(convert(build(read_weights(Path(weights)))))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Write net.tflite: the network of ../mobilenet_v1 with its weights, by TensorFlow's converter.

    python -m venv tfenv
    tfenv/bin/pip install tensorflow-cpu==2.19.1 keras==3.12.4 numpy==1.26.4
    tfenv/bin/python models/mobilenet_v1_tflite/make_tflite.py [WEIGHTS.safetensors [FILE.tflite]]

The same layers in Keras, channels last; no optimization of the converter's, so every number is a
float32. Two runs wrote the same bytes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent
# output channels, and stride of the depthwise convolution: net.py's BLOCKS at width 0.25
BLOCKS = [
    (16, 1),
    (32, 2),
    (32, 1),
    (64, 2),
    (64, 1),
    (128, 2),
    *[(128, 1)] * 5,
    (256, 2),
    (256, 1),
]
Weights = dict[str, np.ndarray]


def read_weights(path: Path) -> Weights:
    """A safetensors file of float32 and int64: u64 header length, JSON header, data."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    types = {"F32": np.float32, "I64": np.int64}
    weights = {}
    for name, told in header.items():
        if name != "__metadata__":
            begin, end = told["data_offsets"]
            flat = np.frombuffer(raw[start + begin : start + end], types[told["dtype"]])
            weights[name] = flat.reshape(told["shape"])
    return weights


def build(weights: Weights) -> tf.keras.Model:
    """float32 [1, 32, 32, 1] -> [1, 10], as ../mobilenet_v1/net.py:build does it."""
    image = tf.keras.Input((32, 32, 1), batch_size=1, name="image")
    x = convolution(weights, "conv", image)
    for number, (_, stride) in enumerate(BLOCKS, start=1):
        x = convolution(weights, f"depthwise{number}", x, stride)
        x = convolution(weights, f"pointwise{number}", x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    linear = [weights["linear.weight"].T, weights["linear.bias"]]
    scores = with_weights(tf.keras.layers.Dense(10), linear, x)
    return tf.keras.Model(image, scores)


def convolution(weights: Weights, name: str, x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """Convolution, BatchNorm, ReLU. PyTorch pads both sides alike, TensorFlow's "same" does not."""
    kernel = weights[f"{name}.conv.weight"]  # [out, in a group, h, w]
    width = kernel.shape[2]
    if width > 1 and stride > 1:
        x = tf.keras.layers.ZeroPadding2D(width // 2)(x)
    if name.startswith("depthwise"):
        kernel = kernel.transpose(2, 3, 0, 1)
        kind, arguments = tf.keras.layers.DepthwiseConv2D, {}
    else:
        kernel = kernel.transpose(2, 3, 1, 0)
        kind, arguments = tf.keras.layers.Conv2D, {"filters": kernel.shape[3]}
    padding = "valid" if stride > 1 else "same"
    layer = kind(kernel_size=width, strides=stride, padding=padding, use_bias=False, **arguments)
    x = with_weights(layer, [kernel], x)
    keys = ("weight", "bias", "running_mean", "running_var")
    numbers = [weights[f"{name}.bn.{key}"] for key in keys]
    x = with_weights(tf.keras.layers.BatchNormalization(epsilon=1e-5), numbers, x)
    return tf.keras.layers.ReLU()(x)


def with_weights(
    layer: tf.keras.layers.Layer, weights: list[np.ndarray], x: tf.Tensor
) -> tf.Tensor:
    """The layer's result; its weights exist only once it has been called."""
    y = layer(x)
    layer.set_weights(weights)
    return y


def convert(model: tf.keras.Model) -> bytes:
    """The file, with the signature's names image and scores."""
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    image = tf.TensorSpec((1, 32, 32, 1), tf.float32, name="image")
    archive.add_endpoint("serve", lambda image: {"scores": model(image, training=False)}, [image])
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def main(
    weights: str = f"{HERE.parent}/mobilenet_v1/weights.safetensors",
    out: str = f"{HERE}/net.tflite",
) -> None:
    Path(out).write_bytes(convert(build(read_weights(Path(weights)))))


if __name__ == "__main__":
    main(*sys.argv[1:])

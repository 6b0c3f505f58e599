"""A job that makes Keras files and SavedModels, in the tensorflow toolchain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import tensorflow as tf

from pipelines.run.jobs.job import Job, NoParams

keras = tf.keras
layers = tf.keras.layers


def run(job: Job[NoParams]) -> None:
    keras.utils.set_random_seed(3)
    two = two_inputs()
    two.save(str(job.out / "two.keras"))
    two.save(str(job.out / "two.h5"))
    two.export(str(job.out / "two_exported"))
    tf.saved_model.save(two, str(job.out / "two_saved"))
    by_name = keras.Model(
        {"image": two.inputs[0], "extra": two.inputs[1]},
        {"scores": two.outputs[0], "boxes": two.outputs[1]},
    )
    by_name.save(str(job.out / "by_name.keras"))
    by_name.export(str(job.out / "by_name"))
    one = sequential()
    one.save(str(job.out / "sequential.keras"))
    one.save(str(job.out / "keras_2.h5"))
    as_keras_2(job.out / "keras_2.h5", "DepthwiseConv2D")
    one.save(str(job.out / "lambda_2.h5"))
    as_keras_2(job.out / "lambda_2.h5", "TFOpLambda")
    save_module(job.out)
    save_looping(job.out)
    any_size = keras.Input((None, None, 3), name="picture")
    made = keras.Model(any_size, layers.Conv2D(4, 3, padding="same")(any_size))
    made.save(str(job.out / "any_size.keras"))


def two_inputs() -> Any:
    image, extra = keras.Input((16, 16, 3), name="image"), keras.Input((4,), name="extra")
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(image))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    x = layers.Concatenate()([x, extra])
    outputs = [layers.Dense(5, name="scores")(x), layers.Dense(2, name="boxes")(x)]
    return keras.Model([image, extra], outputs)


def sequential() -> Any:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3), name="picture"),
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6"),
            layers.DepthwiseConv2D(3),
            layers.UpSampling2D(interpolation="bilinear"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


def as_keras_2(file: Path, depthwise: str) -> None:
    """The file as Keras 2 writes it: another version, and `groups` in the DepthwiseConv2D.

    depthwise: what to call that layer's class.
    """
    with h5py.File(file, "r+") as held:
        held.attrs["keras_version"] = "2.13.1"
        config = json.loads(held.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["class_name"] = depthwise
                layer["config"]["groups"] = 1
        held.attrs["model_config"] = json.dumps(config)


def save_module(folder: Path) -> None:
    """A SavedModel that Keras did not write, with an operation that ONNX lacks in one output."""

    class Module(tf.Module):  # type: ignore[misc]
        @tf.function  # type: ignore[untyped-decorator]
        def call(self, x: Any, ids: Any) -> dict[str, Any]:
            gathered = tf.gather(x, ids, batch_dims=1)
            return {
                "sum": tf.reduce_sum(gathered, 1),
                "lengths": tf.strings.length(tf.as_string(ids)),
            }

    module = Module()
    x = tf.TensorSpec((None, 4), tf.float32, name="x")
    ids = tf.TensorSpec((None, 2), tf.int32, name="ids")
    concrete = module.call.get_concrete_function(x, ids)
    tf.saved_model.save(module, str(folder / "module"), signatures={"only": concrete})
    several = {"first": concrete, "second": concrete}
    tf.saved_model.save(module, str(folder / "several"), signatures=several)


def save_looping(folder: Path) -> None:
    """A SavedModel of graphs within graphs, of an einsum, and of constants that are equal."""

    class Looping(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def call(self, x: Any) -> dict[str, Any]:
            y, turns = x, tf.constant(0)
            while tf.reduce_sum(y) < 100.0 and turns < 5:
                if tf.reduce_sum(y) > 10.0:
                    y = y * 2.0 + tf.reshape(tf.constant([1.0, 2.0, 3.0, 4.0]), (1, 4))
                else:
                    y = tf.nn.relu(y) + tf.expand_dims(tf.constant([1.0, 2.0, 3.0, 5.0]), 0)
                turns += 1
            halves = tf.nn.relu6(tf.reshape(tf.nn.relu6(x), (1, 2, 2)))
            return {"looped": y, "summed": tf.einsum("bij,bkj,bil->bkl", halves, halves, halves)}

    module = Looping()
    tf.saved_model.save(module, str(folder / "looping"), signatures=module.call)

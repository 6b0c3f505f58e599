"""A job that runs `two.keras` by Keras itself on seeded random inputs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipelines.run.jobs.job import Job, NoParams


def run(job: Job[NoParams]) -> None:
    model = tf.keras.models.load_model(str(job.inputs["model.keras"]), compile=False)
    random = np.random.default_rng(0)
    image, extra = random.random((1, 16, 16, 3), np.float32), random.random((1, 4), np.float32)
    scores, boxes = model([image, extra], training=False)
    np.savez(job.out / "predicted.npz", scores=scores.numpy(), boxes=boxes.numpy())

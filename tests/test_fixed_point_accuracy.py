"""What int8 costs on the trained models: accuracy beside float, mean over three trainings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from quant.execution.compare import differences
from quant.execution.run import FloatRun
from quant.fixed_point.network.options import BIAS_MODES, Options
from tests.imbalance import unbalance
from tests.trained_models import NAMES, SEEDS, Case, Trained, export, twin
from tests.vacuous import some

pytestmark = pytest.mark.toolchain
Networks = dict[Case, Trained]
ALLOWED_LOSS = 1.0  # points
LEAST_AGREEMENT = 98.0  # percent


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, toolchain_python: dict[str, Path]
) -> Networks:
    """Every training from torch, and the first one's TFLite twins."""
    cases = [(name, seed) for name in NAMES for seed in SEEDS]
    cases += [(twin(name), 0) for name in NAMES]
    return export(tmp_path_factory.mktemp("project"), dict.fromkeys(cases))


@pytest.fixture(scope="module")
def plain(exported: Networks) -> Networks:
    return {(name, seed): x for (name, seed), x in exported.items() if name in NAMES}


@pytest.fixture(scope="module")
def equalized(plain: Networks) -> Networks:
    return {case: network.equalized() for case, network in plain.items()}


@pytest.fixture(scope="module")
def uneven(plain: Networks) -> Networks:
    """The same networks with channels that differ by up to 2^6, and nothing else."""
    made = {(n, s): Trained.of(unbalance(x.model, s), x.data) for (n, s), x in plain.items()}
    for case, network in some(made.items()):
        for output, classes in some(network.classes.items()):
            np.testing.assert_array_equal(classes, plain[case].classes[output])
    return made


@pytest.fixture(scope="module")
def evened(uneven: Networks) -> Networks:
    return {case: network.equalized() for case, network in uneven.items()}


@dataclass(frozen=True)
class Result:
    """Means over the seeds. losses: output -> points of accuracy that int8 costs.

    agreement: percent that get the float's class, of the worst output.
    """

    losses: dict[str, float]
    agreement: float


def result(networks: Networks, name: str, options: Options) -> Result:
    pairs = [(x.float_score(), x.score(options)) for (n, _), x in networks.items() if n == name]
    assert len(pairs) == len(SEEDS)
    outputs = pairs[0][0].right
    return Result(
        {o: mean(f.right[o] - q.right[o] for f, q in pairs) for o in outputs},
        min(mean(q.agreement[o] for _, q in pairs) for o in outputs),
    )


def test_float_is_as_good_as_training_said(plain: Networks) -> None:
    floats = {case: list(x.float_score().right.values()) for case, x in plain.items()}
    told = {
        ("mobilenet_v1", 0): [97.50],
        ("mobilenet_v1", 1): [97.22],
        ("mobilenet_v1", 2): [99.17],
        ("mmoe", 0): [80.65, 82.00],
        ("mmoe", 1): [81.20, 81.60],
        ("mmoe", 2): [80.95, 81.40],
    }
    one_sample = {"mobilenet_v1": 100 / 360, "mmoe": 100 / 2000}  # sums differ between processors
    for (name, seed), found in some(floats.items()):
        assert found == pytest.approx(told[name, seed], abs=1.1 * one_sample[name])


@pytest.mark.parametrize("bias_mode", BIAS_MODES)
@pytest.mark.parametrize("scale", [8, 32])
@pytest.mark.parametrize("name", NAMES)
def test_calibrated_and_compensated_is_within_a_point(
    equalized: Networks, name: str, scale: int, bias_mode: str
) -> None:
    found = result(equalized, name, Options(scale, bias_mode))
    assert max(found.losses.values()) <= ALLOWED_LOSS
    assert found.agreement >= LEAST_AGREEMENT


@pytest.mark.parametrize("bias_mode", BIAS_MODES)
@pytest.mark.parametrize("name", NAMES)
def test_constant_and_truncated_falls_with_the_input_scale(
    plain: Networks, name: str, bias_mode: str
) -> None:
    """At 1 it guesses; at 4 it is points off; at 32 it is nearly as good as float."""

    def loss(scale: int) -> float:
        options = Options(scale, bias_mode, rounding="truncate", shifts="constant")
        return mean(result(plain, name, options).losses.values())

    at_1, at_4, at_32 = loss(1), loss(4), loss(32)
    assert at_1 > {"mobilenet_v1": 80, "mmoe": 25}[name]
    assert at_4 > {"mobilenet_v1": 40, "mmoe": 2}[name]
    assert at_32 < 2


@pytest.mark.parametrize("bias_mode", BIAS_MODES)
@pytest.mark.parametrize("name", NAMES)
def test_equalization_undoes_an_imbalance_of_2_to_the_3(
    uneven: Networks, evened: Networks, name: str, bias_mode: str
) -> None:
    options = Options(16, bias_mode)
    lost, kept = result(uneven, name, options).losses, result(evened, name, options).losses
    assert max(kept.values()) <= ALLOWED_LOSS
    assert min(lost.values()) > max(kept.values())
    assert max(lost.values()) > {"mobilenet_v1": 80, "mmoe": 1}[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_tflite_source_is_as_good(exported: Networks, name: str) -> None:
    both = exported[name, 0], exported[twin(name), 0]
    samples = both[0].data.calibration_samples()[:8]
    runs = [[FloatRun(x.model)(sample) for sample in samples] for x in both]
    assert max(differences(*runs).values()) <= 1e-5
    network = both[1].equalized()
    for bias_mode in some(BIAS_MODES):
        score = network.score(Options(16, bias_mode))
        for output, right in some(network.float_score().right.items()):
            assert score.right[output] >= right - ALLOWED_LOSS
        assert min(score.agreement.values()) >= LEAST_AGREEMENT

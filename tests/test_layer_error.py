"""The layer report: worst and mean, what isn't finite, and its two files."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from quant.fault import Fault
from quant.report.layer_error import (
    Distance,
    Error,
    LayerReport,
    Row,
    Worst,
    from_json,
    not_finite,
    over_samples,
    to_csv,
    to_json,
    worst_entire,
    worst_single,
)

CONV = Row(
    id=1,
    part_of=None,
    op="ConvRelu",
    name="Conv:/conv, first",
    tensor="/relu",
    dtype="INT8",
    target="NPU",
    cycles=9216,
    size_bytes=640,
    entire=over_samples([Distance(0.99, 1.5), Distance(0.97, 2.5)]),
    single=over_samples([Distance(0.999, 0.5), Distance(1.0, 0.25)]),
)
BAD = Row(
    id=None,
    part_of=1,
    op="Add",
    name="Add:/sum",
    tensor="/sum",
    dtype=None,
    target=None,
    cycles=None,
    size_bytes=None,
    entire=over_samples([Distance(0.5, 1.0), Distance(math.nan, 1.0)]),
    single=None,
)
REPORT = LayerReport("rknn", "2.5.0", "rk3588", 2, (CONV, BAD), ("`/sum` holds NaN",))


def test_worst_and_mean_over_samples() -> None:
    assert over_samples([Distance(0.75, 1.5), Distance(0.5, 2.5)]) == Error(
        finite=True, cosine_worst=0.5, cosine_mean=0.625, euclidean_worst=2.5, euclidean_mean=2.0
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_one_sample_that_is_not_finite_is_not_averaged_away(bad: float, place: int) -> None:
    samples = [Distance(1.0, 0.0), Distance(1.0, 0.0)]
    samples[place] = Distance(1.0, bad)
    assert over_samples(samples) == Error(False, None, None, None, None)


def test_no_samples_have_no_worst() -> None:
    with pytest.raises(ValueError, match="no samples"):
        over_samples([])


def test_the_worst_rows() -> None:
    other = replace(CONV, tensor="/other", single=CONV.entire)
    assert worst_entire([CONV, BAD, other]) == Worst(0.97, "/relu")
    assert worst_single([CONV, BAD, other]) == Worst(0.97, "/other")
    assert worst_entire([BAD]) is None
    assert not_finite([CONV, BAD, other]) == ["/sum"]


def test_compiled_layers_are_those_with_a_number() -> None:
    assert REPORT.layers == (CONV,)


def test_json_comes_back_as_it_was() -> None:
    assert from_json(to_json(REPORT)) == REPORT


def test_json_has_null_for_what_is_not_finite() -> None:
    layers = json.loads(to_json(REPORT), parse_constant=lambda name: pytest.fail(name))["layers"]
    assert layers[0]["entire"]["cosine"] == {"worst": 0.97, "mean": 0.98}
    assert layers[0]["bytes"] == 640
    assert layers[1]["entire"] == {
        "finite": False,
        "cosine": {"worst": None, "mean": None},
        "euclidean": {"worst": None, "mean": None},
    }
    assert layers[1]["single"] is None


def test_a_file_that_lacks_a_key_is_refused() -> None:
    data = json.loads(to_json(REPORT))
    del data["layers"][0]["entire"]["finite"]
    with pytest.raises(Fault, match=r"layers.json lacks `finite`: an older npumake wrote it"):
        from_json(json.dumps(data))


def test_csv_has_the_same_rows() -> None:
    conv, bad = csv.DictReader(io.StringIO(to_csv(REPORT)))
    assert conv["name"] == "Conv:/conv, first"
    assert conv["bytes"] == "640"
    assert conv["entire_cosine_worst"] == "0.97"
    assert conv["single_euclidean_mean"] == "0.375"
    assert (conv["entire_finite"], bad["entire_finite"], bad["single_finite"]) == ("1", "0", "")
    assert (bad["id"], bad["part_of"], bad["entire_cosine_worst"]) == ("", "1", "")

"""README, docs and help know every command and stage; both READMEs say the same."""

from __future__ import annotations

import os
import re

import pytest
import yaml

from pipelines.backends.rknn.recipe.vendor import TOOLCHAINS
from pipelines.files.commands import COMMANDS, OWN
from pipelines.report import rows
from tests import warm
from tests.conftest import ROOT

ENGLISH = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
STAGES = ("export", "simplify", "quantize", "build", "analyze")


def commands_of_doit() -> list[str]:
    from doit.doit_cmd import DoitMain

    return sorted(DoitMain().get_cmds())


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_command_is_in_both_readmes(name: str) -> None:
    for readme in (ENGLISH, CHINESE):
        assert f"`./doit {name} " in readme or f"`./doit {name}`" in readme


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_documented(stage: str) -> None:
    assert f"\n## {stage}\n" in (ROOT / "docs/stages.md").read_text()
    assert f"| {stage} |" in ENGLISH
    assert f"| {stage} |" in CHINESE


@pytest.mark.parametrize("name", sorted(TOOLCHAINS))
def test_every_toolchain_is_documented_and_pinned(name: str) -> None:
    assert name in ENGLISH
    assert name in CHINESE
    assert name in yaml.safe_load((ROOT / "toolchains/toolchains.yaml").read_text())
    assert (ROOT / f"toolchains/{name}.txt").is_file()  # what stands in it: tests/test_pins.py


def test_no_model_can_have_a_commands_name() -> None:
    assert set(commands_of_doit()) <= set(COMMANDS)
    assert set(commands_of_doit()) >= OWN


def test_the_readmes_show_the_same_code_and_headings() -> None:
    for pattern in (r"(?m)^#+ ", r"(?m)^```", r"(?m)^\| "):
        assert len(re.findall(pattern, ENGLISH)) == len(re.findall(pattern, CHINESE)), pattern
    figures = r"```\n(model@target.*?)```"
    assert re.findall(figures, ENGLISH, re.S) == re.findall(figures, CHINESE, re.S)


def test_the_first_table_is_as_printed() -> None:
    for readme in (ENGLISH, CHINESE):
        first = readme[readme.index("model@target") :].partition("```")[0].splitlines()
        assert first[0].split() == list(rows.HEAD)
        assert first[-1] == rows.NOTE
        assert max(map(len, first)) <= 80


@pytest.mark.parametrize("name", ["", *commands_of_doit()])
def test_every_command_has_help(name: str) -> None:
    ran = warm.doit(ROOT, ["help", *name.split()], os.environ, timeout_s=60)
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) >= 3


def test_the_help_of_run_tells_of_pull() -> None:
    told = warm.doit(ROOT, ["help", "run"], os.environ, timeout_s=60).out
    assert "--always-execute" in told
    assert "--pull\n" in told


def test_the_tables_of_what_is_kept_have_the_rows_of_their_file() -> None:
    """Sizes change with every commit; what stands there and why does not by itself."""
    told = yaml.safe_load((ROOT / "benchmarks/kept.yaml").read_text())
    text = (ROOT / "docs/contributing.md").read_text()
    rows = [*told["kept"], *told["written"]]
    assert [row["for"] for row in rows if f"| {row['for']}" not in text] == []
    assert [row["why"] for row in rows if f"| {row['why']} |" not in text] == []
    paths = [path for row in told["written"] for path in row["paths"]]
    assert [path for path in paths if not (ROOT / path).exists()] == []

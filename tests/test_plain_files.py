"""What is read without a parser is what a parser reads; of the rest, nothing is told."""

from __future__ import annotations

import random
from contextlib import suppress
from textwrap import dedent

import pytest
import yaml
from doit.doit_cmd import DoitConfig

from pipelines.files.commands import plugins
from pipelines.recipe.yaml import plain
from tests.conftest import ROOT

FILES = ("pipelines/stages/versions.yaml", "pipelines/stages/defaults.yaml")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
# What comes into a text: what means something to YAML, and numbers that one version of it has.
PIECES = (
    *("  ", "- a\n", "a: 1\n", "  b: 2\n", "x:\n", "    - 1\n", "- - a\n", "- k: v\n", "\n", "\t"),
    *(
        "on: 1\n",
        "0x1f",
        "1_000",
        "1e3",
        "1.5e3",
        "0b11",
        "012",
        "00",
        "0.10",
        "-1",
        ".5",
        "1.",
        "1:30",
    ),
    *(
        "~",
        "?",
        "true",
        "True",
        "no",
        "y",
        "72a",
        "'a'",
        "{a: 1}",
        "[1]",
        "&a ",
        "*a",
        "<<: 1\n",
        "|\n",
    ),
    *(" #c", "#c", ": ", "---\n", "...\n", "2001-01-01", "\r\n", "\x85", "\u2028", "\x07", "ß"),
)


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_ours_is_plain(file: str) -> None:
    text = (ROOT / file).read_text()
    assert repr(plain.load(text)) == repr(yaml.safe_load(text))


def test_what_is_read_as_plain_is_what_yaml_reads() -> None:
    randomly = random.Random(1)
    lines = [line for file in FILES for line in (ROOT / file).read_text().splitlines(keepends=True)]
    read = 0
    for _ in range(3000):
        at = randomly.randrange(len(lines))
        text = dedent("".join(lines[at : at + randomly.randrange(2, 7)]))
        for _ in range(randomly.randrange(4)):
            likely = [
                i + more for i, letter in enumerate(text) if letter in ":\n" for more in (0, 1, 2)
            ]
            at = randomly.choice([0, *likely])
            text = (
                text[:at] + randomly.choice(PIECES) + text[at + randomly.choice((0, 0, 1, 2, 5)) :]
            )
        with suppress(plain.NotPlain):
            found = plain.load(text)
            read += 1
            assert repr(found) == repr(yaml.load(text, yaml.CSafeLoader)), text
    assert read > 300


@pytest.mark.parametrize(
    "text",
    [
        *("", "# x\n", "a", "a:\n", "a: 1\na: 2\n", "a:\n   b: 1\n", "a: 1\n  b: 2\n", "on: 1\n"),
        *("a: yes\n", "a: 010\n", "a: 1_0\n", "a: 0b1\n", "a: ~\n", "a: 'b'\n", "a: b c\n"),
        *("a: [1]\n", "a: {}\n", "a: b # c\n", "a:\n- b: 1\n", "- a\n", "a: 1\n- b\n"),
    ],
)
def test_what_is_not_plain_is_refused(text: str) -> None:
    with pytest.raises(plain.NotPlain):
        plain.load(text)


def test_doit_is_told_what_it_would_read_in_pyproject() -> None:
    told = plugins(PYPROJECT)
    assert {*told} == {"BACKEND", "COMMAND"}
    assert told == DoitConfig().load_config_toml(str(ROOT / "pyproject.toml"), "tool.doit")


@pytest.mark.parametrize(
    "more",
    [
        *("[tool.doit]\nverbosity = 2\n", "[tool.doit.commands.run]\nverbosity = 2\n"),
        *("[tool]\ndoit.verbosity = 2\n", "[ tool . 'doit' ]\nverbosity = 2\n"),
        *(" [tool.doit]\nverbosity = 2\n", "[tool.doit.plugins.loader]\na = 'b:C'\n"),
        *("x = '''\n[tool.doit]\n'''\n", 'x = """\n[tool.doit]\n"""\n'),
    ],
)
def test_a_pyproject_that_may_tell_doit_more_is_left_to_doit(more: str) -> None:
    assert plugins(f"{PYPROJECT}\n{more}") == {}


def test_settings_before_all_tables_are_left_to_doit() -> None:
    assert plugins(f"tool.doit.verbosity = 2\n{PYPROJECT}") == {}

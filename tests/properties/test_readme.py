"""The README holds: its code runs, its excerpts are the code, its paths are there."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scratch.functional
from reports.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```", README, re.S | re.M)
EXCERPT = next(text for _, text in FENCED if text.startswith("def linear"))


def file_name(text: str) -> str:
    """That of a block which is a file: its first line is "# name.py"."""
    found = re.match(r"# (\w+\.py)\n", text)
    return found[1] if found else ""


@pytest.mark.long
def test_the_code_blocks_run_and_give_what_it_shows() -> None:
    names: dict = {}
    for language, text in FENCED:
        if language == "python" and text is not EXCERPT and not file_name(text):
            exec(compile(text, "README.md", "exec"), names)
    assert names["loss"] > 0
    assert f"\n```\n{names['found'].causes[0]}\n```\n" in README


def test_the_excerpt_is_the_code() -> None:
    """But for docstrings and types."""

    def bare(source: str) -> str:
        (function,) = ast.parse(source).body
        assert isinstance(function, ast.FunctionDef)
        arguments = ", ".join(ast.unparse(ast.arg(a.arg)) for a in function.args.args)
        body = function.body[bool(ast.get_docstring(function)) :]
        return "\n".join([function.name, arguments, *map(ast.unparse, body)])

    for text in EXCERPT.split("\n\n\n"):
        function = getattr(scratch.functional, re.match(r"def (\w+)", text)[1])
        assert bare(text) == bare(inspect.getsource(function))


@pytest.mark.long
def test_its_commands_print_what_it_shows_for_its_files(tmp_path: Path) -> None:
    commands = 0
    for language, text in FENCED:
        if name := file_name(text):
            (tmp_path / name).write_text(text)
            last = name
        elif language == "diff":
            lines = text.splitlines()
            old, new = ("\n".join(line[1:] for line in lines if line[0] in f" {sign}") for sign in "-+")
            source = (tmp_path / last).read_text()
            assert source.count(old) == 1
            (tmp_path / last).write_text(source.replace(old, new))
        elif language == "console":
            command, *expected = text.removeprefix("$ ").splitlines()
            assert_in_order(expected, printed_by(command, tmp_path))
            commands += 1
    assert commands == 8


def printed_by(command: str, folder: Path) -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path}, text=True, capture_output=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def assert_in_order(expected: list[str], printed: list[str]) -> None:
    """Line by line, up to "…", but for the digits of small errors and times."""

    def rough(line: str) -> str:
        line = re.sub(r"\d(\.\d)?e-\d\d|(?<= )0(?= )|0\.0\d+|in [\d.]+s", "#", line)
        return re.sub(r"\s+|-{2,}", " ", line)

    lines = expected[:-1] if expected[-1] == "…" else expected
    assert [rough(line) for line in printed[: len(lines)]] == [rough(line) for line in lines]
    assert expected[-1] == "…" or len(printed) == len(lines)


@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="the table is that of torch 2.13")
def test_its_table_of_what_is_here_is_what_the_command_prints(capsys) -> None:
    assert main(["coverage"]) == 0
    table, count = capsys.readouterr().out.strip().split("\n\n")
    for line in table.splitlines():
        assert re.sub(r" +", " ", line) in README or set(line) <= set("|:- ")
    assert count in README


@pytest.mark.long
def test_the_fields_of_the_json_are_those_that_it_lists(tmp_path: Path) -> None:
    for _, text in FENCED:
        if file_name(text) == "kernels.py":
            (tmp_path / "kernels.py").write_text(text)
    (command,) = [text for _, text in FENCED if "--json -" in text]
    found = json.loads("\n".join(printed_by(command, tmp_path)))
    assert len(found["seeds"]) == 3
    one = found["seeds"]["0"]
    section = README[README.index("### For programs") : README.index("## The lesson")]
    listed = {name for quoted in re.findall(r"`(.+?)`", section) for name in re.findall(r"\w+", quoted)}
    assert {*found, *one, *one["causes"][0], *one["tensors"][0]} <= listed


def test_the_code_in_chinese_is_the_same_code() -> None:
    def code(text: str) -> list[str]:
        (block,) = [b for b in re.findall(r"^```python\n(.*?)^```", text, re.S | re.M) if "manual_seed" in b]
        return [line.partition("  #")[0] for line in block.splitlines()]

    assert code(CHINESE) == code(README)


def test_the_files_commands_and_outputs_in_chinese_are_the_same() -> None:
    def shown(text: str) -> list[tuple[str, str]]:
        found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.S | re.M)
        return [(kind, each) for kind, each in found if file_name(each) or kind in ("console", "diff")]

    assert shown(CHINESE) == shown(README)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README + CHINESE))))
def test_the_files_it_points_to_exist(path: str) -> None:
    assert (ROOT / path).exists()

"""What the README says is so: its code runs, its excerpts are the code, its paths are there."""

import re
import textwrap
from pathlib import Path

import pytest

import scratch.nn.linear

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)
EXCERPT = next(block for block in BLOCKS if block.startswith("def backward"))


def test_the_code_blocks_run_and_give_what_it_shows() -> None:
    names: dict = {}
    for block in BLOCKS:
        if block is not EXCERPT:
            exec(compile(block, "README.md", "exec"), names)
    assert names["loss"] > 0
    assert f"\n```\n{names['found'].causes[0]}\n```\n" in README


def test_the_excerpt_is_the_code() -> None:
    assert textwrap.indent(EXCERPT, "    ") in Path(scratch.nn.linear.__file__).read_text()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_the_files_it_points_to_exist(path: str) -> None:
    assert (ROOT / path).exists()

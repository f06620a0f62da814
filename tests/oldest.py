"""The oldest version of every package that pyproject.toml allows, one a line, for pip."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for needed in project["dependencies"]:
    name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", needed).groups()
    print(f"{name}=={version}.0" if version.count(".") == 1 else f"{name}=={version}")

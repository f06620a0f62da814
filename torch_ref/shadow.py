"""Files of other people that Python finds where one of our packages is meant."""

import sys
from importlib.util import find_spec
from pathlib import Path

_OURS = ("scratch", "torch_ref", "reports")


def shadow(name: str) -> str:
    """The file or folder that is found under the name of one of our packages, if it is not ours."""
    module = sys.modules.get(name)
    spec = find_spec(name) if module is None else module.__spec__
    folders = list(getattr(spec, "submodule_search_locations", None) or [])  # of a package without __init__
    found = getattr(module, "__file__", None) or getattr(spec, "origin", None) or next(iter(folders), None)
    ours = Path(__file__).resolve().parent.parent / name
    return found if found and ours not in (Path(found).resolve(), Path(found).resolve().parent) else ""


def neighbour(path: Path) -> str:
    """The file or folder beside ``path`` that has the name of one of our packages, and is not ours."""
    ours = Path(__file__).resolve().parent.parent
    if path.resolve().parent == ours:
        return ""
    beside = (path.parent / each for name in _OURS for each in (f"{name}.py", name))
    return next((str(each) for each in beside if each.exists()), "")

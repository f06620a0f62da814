"""Code of users, found by the words of the command line, and checked: ``gradmirror check``."""

import argparse
import ast
import difflib
import importlib
import importlib.util
import json
import re
import sys
import traceback
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import scratch
from reports.errors import UnusableError
from scratch.checkpoint import write_whole
from torch_ref.adapters import takes_tensors
from torch_ref.checker.check import Check, check


def run(options: argparse.Namespace) -> int:
    """Check as the command line says; 0 if both sides agree from every seed, 1 if not.

    Raises:
        UnusableError: a name cannot be found, an argument not be read, or the two sides not be compared.
        OSError: the JSON file cannot be written.
    """
    mine, reference = _find(options.mine, "mine"), _find(options.against, "--against")
    args, kwargs = _arguments(options.args)
    found: dict[int, Check] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        scratch.manual_seed(seed)
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        inputs = [_draw(rng, words, options.scale) for words in options.input]
        try:
            found[seed] = check(
                _made(mine, args, kwargs, "mine"),
                _made(reference, args, kwargs, "--against"),
                *inputs,
                dtypes=options.dtype or ("float64", "float32"),
                transposed=options.transposed or (),
                double_backward=options.double_backward,
            )
        except Exception as error:
            if blamed := _blamed(error, options.mine, options.against):
                raise UnusableError(blamed) from error
            if not isinstance(error, TypeError | ValueError | RuntimeError):
                raise
            raise UnusableError(f"the two sides cannot be compared: {_as_option(error)}") from error
    everything = json.dumps(_as_json(found), indent=1, allow_nan=False) + "\n" if options.json else ""
    if options.json == "-":
        print(everything, end="")
    else:
        print(next((each for each in found.values() if not each), next(iter(found.values()))))
        if options.seeds > 1:
            agreeing = sum(map(bool, found.values()))
            print(f"\n{agreeing} of {len(found)} seeds agree")
        if options.json:
            write_whole(options.json, everything.encode())
    return 0 if all(found.values()) else 1


def _blamed(error: Exception, mine: str, against: str) -> str:
    """Which function of the user's files, or of their neighbours, raised it, and where; "" if none did."""
    folders = {Path(place.partition(":")[0]).resolve().parent for place in (mine, against) if ":" in place}
    imported = None if ":" in mine else getattr(sys.modules[mine.rpartition(".")[0]], "__file__", None)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == imported or Path(frame.filename).resolve().parent in folders
    ]
    if not frames:
        return ""
    at = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
    return f"your {frames[0].name} raises {_named(error)} ({at})"


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _as_option(error: Exception) -> str:
    """The text of an error, with the option of the command line in the place of check's argument."""
    return re.sub(r"transposed=\['(.*?)'\]", r"--transposed \1", str(error))


def _find(words: str, argument: str) -> Any:
    """The object named by "file.py:Name" or "package.module.Name", or two objects by two names."""
    place, colon, names = words.partition(":")
    if colon:
        module = _load(place, argument)
        found = tuple(_attribute(module, name, argument) for name in names.split(","))
        return found if len(found) > 1 else found[0]
    place, _, name = words.rpartition(".")
    try:
        return _attribute(importlib.import_module(place), name, argument)
    except (ImportError, ValueError) as error:
        raise UnusableError(
            f"{argument}: cannot import {words!r} ({error}); expected file.py:Name or package.module.Name"
        ) from error


def _load(place: str, argument: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise UnusableError(f"{argument}: there is no file {place!r}; expected file.py:Name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UnusableError(f"{argument}: {place!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # A file may import its neighbours.
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UnusableError(f"{argument}: {place} does not run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _attribute(module: ModuleType, name: str, argument: str) -> Any:
    try:
        return attrgetter(name)(module)  # Square.apply as well
    except AttributeError:
        names = [n for n in vars(module) if not n.startswith("_")]
        there = ", ".join(difflib.get_close_matches(name, names) or names[:20]) or "nothing"
        raise UnusableError(f"{argument}: {module.__name__} has no {name!r}; there is {there}") from None


def _arguments(words: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """["16", "bias=False"] as ([16], {"bias": False})."""
    args, kwargs = [], {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            if equals and name.isidentifier():
                kwargs[name] = ast.literal_eval(value)
            else:
                args.append(ast.literal_eval(word))
        except (ValueError, SyntaxError):
            raise UnusableError(
                f"--args: cannot read {word!r}; expected 16, name=value or \"'text'\""
            ) from None
    return args, kwargs


def _made(what: Any, args: list[Any], kwargs: dict[str, Any], argument: str) -> Any:
    if not isinstance(what, type) or takes_tensors(what):  # a Function is never made an object
        return what
    try:
        return what(*args, **kwargs)
    except Exception as error:
        raise UnusableError(
            f"{argument}: {what.__name__} cannot be made with --args {args} {kwargs}: {_named(error)}"
        ) from error


def _draw(rng: np.random.Generator, words: str, scale: float) -> np.ndarray:
    """ "4x16" as 4x16 normal numbers, "4x16:positive" some above 0, "4:10" as 4 whole ones below 10."""
    sizes, _, kind = words.partition(":")
    try:
        shape = tuple(int(size) for size in sizes.split("x")) if sizes else ()
        if kind == "positive":
            return scale * np.exp(rng.standard_normal(shape))
        if kind == "unit":
            return rng.uniform(0.01, 0.99, shape)
        return rng.integers(0, int(kind), shape) if ":" in words else scale * rng.standard_normal(shape)
    except ValueError:
        raise UnusableError(
            f"--input: cannot read {words!r}; expected a shape such as 4x16, 4x16:positive or 4x16:unit, or "
            "4:10 for whole numbers below 10"
        ) from None


def _as_json(found: dict[int, Check]) -> dict[str, Any]:
    return {
        "ok": all(found.values()),
        "seeds": {
            str(seed): {
                "ok": each.ok,
                "verdict": each.verdict,
                "side_effects": list(each.side_effects),
                "untried": each.untried,
                "causes": [vars(cause) for cause in each.causes],
                "tensors": each.frame.astype(object)
                .where(
                    np.isfinite(each.frame.select_dtypes("number")).reindex(
                        columns=each.frame.columns, fill_value=True
                    ),
                    None,
                )
                .to_dict("records"),
            }
            for seed, each in found.items()
        },
    }

"""Code of users, found by the words of the command line, and checked: ``gradmirror check``.

It runs in a process of its own: serving.py.
"""

import argparse
import ast
import difflib
import importlib
import importlib.util
import json
import re
import sys
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import scratch
from reports.errors import UnusableError
from reports.runner.apart import Answer
from reports.runner.blame import blamed, named
from torch_ref.adapters import takes_tensors
from torch_ref.checker.check import Check, check
from torch_ref.checker.check_loss import check_loss
from torch_ref.shadow import neighbour


def answer(options: argparse.Namespace) -> Answer:
    """Check as the command line says.

    Raises:
        UnusableError: a name cannot be found, an argument not be read, or the two sides not be compared.
    """
    try:
        return _answer(options)
    except UnusableError:
        raise
    except BaseException as error:
        if reason := blamed(error, options):
            raise UnusableError(reason) from error
        if isinstance(error, SystemExit):
            raise UnusableError(
                "something that your code or --against names ends the process; nothing was checked"
            ) from error
        if not isinstance(error, TypeError | ValueError | RuntimeError):
            raise
        compared = "the two sides cannot be compared" if options.against else "it cannot be checked"
        raise UnusableError(f"{compared}: {_as_option(error)}") from error


def _answer(options: argparse.Namespace) -> Answer:
    is_network = _is_network(options)
    mine = _find(options.mine, "mine")
    reference = _find(options.against, "--against") if options.against else None
    found: dict[int, Check] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        scratch.manual_seed(seed)
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        found[seed] = (_check_network if is_network else _check_layer)(options, mine, reference, seed)
    shown = str(next((each for each in found.values() if not each), next(iter(found.values()))))
    if options.seeds > 1:
        shown += f"\n\n{sum(map(bool, found.values()))} of {len(found)} seeds agree"
    everything = json.dumps(_as_json(found), indent=1, allow_nan=False) + "\n" if options.json else ""
    return Answer(0 if all(found.values()) else 1, shown + "\n", everything)


_OF_LAYER = ("input", "held", "transposed", "layout", "columns", "authority", "double_backward", "budget")


def _is_network(options: argparse.Namespace) -> bool:
    """Whether the options are those of a whole network.

    Raises:
        UnusableError: they are neither those of a network nor those of a layer, or of both.
    """
    of_network = [name for name in ("params", "data", "case") if getattr(options, name)]
    of_layer = [name for name in _OF_LAYER if getattr(options, name)]
    if of_network and of_layer:
        option = of_layer[0].replace("_", "-")
        raise UnusableError(
            f"--{option} is for a layer and --{of_network[0]} for a whole network; say "
            "--input for each input of a layer, or --params and --data for a network"
        )
    if options.case and len(of_network) > 1:
        raise UnusableError("--case makes params and data, so say it without --params and --data")
    if not of_network and not options.input:
        raise UnusableError(
            "there are no inputs: say --input 4x16 for each input of a layer; or, for a whole network, "
            "--params FILE.py:NAME and --data 8x5 for each of its data"
        )
    return bool(of_network)


def _check_layer(options: argparse.Namespace, mine: Any, reference: Any, seed: int) -> Check:
    args, kwargs = _arguments(options.args, "--args")
    theirs = (args, kwargs)
    if options.against_args is not None:
        theirs = _arguments(options.against_args, "--against-args")
    rng = np.random.default_rng(seed)
    inputs = [_draw(rng, words, options.scale, "--input") for words in options.input]
    return check(
        _made(mine, args, kwargs, "mine"),
        _made(reference, *theirs, "--against"),
        *inputs,
        dtypes=options.dtype or ("float64", "float32"),
        transposed=options.transposed or (),
        held=tuple(map(_position, options.held or ())),
        layout=options.layout,
        columns=options.columns,
        double_backward=options.double_backward,
        like=options.like,
        authority=options.authority,
        **({} if options.budget is None else {"budget": options.budget}),
    )


def _position(word: str) -> int | str:
    return int(word) if word.removeprefix("-").isdigit() else word


def _check_network(options: argparse.Namespace, mine: Any, reference: Any, seed: int) -> Check:
    args, kwargs = _arguments(options.args, "--args")
    if options.case:
        made = _called(_find(options.case, "--case"), "--case")
        if not isinstance(made, tuple | list) or len(made) < 2:
            raise UnusableError(
                f"--case: {options.case} returns a {type(made).__name__}, expected (params, *data)"
            )
        params, *data = made
    else:
        params = _called(_find(options.params, "--params"), "--params") if options.params else None
        rng = np.random.default_rng(seed)
        data = [each for words in options.data for each in _data(rng, words, options.scale)]
    dtypes = options.dtype or ("float64", "float32")
    network = _made(mine, args, kwargs, "mine")
    return check_loss(network, params, *data, reference=reference, dtypes=dtypes, like=options.like)


def _called(what: Any, argument: str) -> Any:
    """What the function returns; or what is no function, itself."""
    if not callable(what):
        return what
    try:
        return what()
    except TypeError as error:
        raise UnusableError(
            f"{argument}: {what.__name__} cannot be called without arguments: {error}"
        ) from error


def _data(rng: np.random.Generator, words: str, scale: float) -> list[Any]:
    """The data that --data says: one drawn, one number, or those that a function makes."""
    if ".py:" in words:
        made = _called(_find(words, "--data"), "--data")
        return list(made) if isinstance(made, tuple) else [made]
    if "." in words and ":" not in words:
        try:
            return [float(words)]
        except ValueError:
            return [_called(_find(words, "--data"), "--data")]
    return [_draw(rng, words, scale, "--data")]


def _as_option(error: BaseException) -> str:
    """The text of an error, with the options of the command line in the place of check's arguments."""
    text = re.sub(r"check\(…, (\w+=.*?)\)", r"\1", str(error))
    return re.sub(r"\b(transposed|held|dtypes)=(\[.*?\]|'\w+')", _option, text)


def _option(argument: re.Match[str]) -> str:
    """held=[0, 1] as --held 0 1."""
    values = re.sub(r"[\[\]',]", "", argument[2])
    return f"--{argument[1].removesuffix('s') if argument[1] == 'dtypes' else argument[1]} {values}"


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
        found = neighbour(path) if isinstance(error, ImportError | AttributeError) else ""
        hint = (
            f"; {found} has the name of a package of gradmirror, which is found first: rename it"
            if found
            else ""
        )
        raise UnusableError(f"{argument}: {place} does not run: {named(error)}{hint}") from error
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


def _arguments(words: list[str], argument: str) -> tuple[list[Any], dict[str, Any]]:
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
                f"{argument}: cannot read {word!r}; expected 16, name=value or \"'text'\""
            ) from None
    return args, kwargs


def _made(what: Any, args: list[Any], kwargs: dict[str, Any], argument: str) -> Any:
    if not isinstance(what, type) or takes_tensors(what):  # a Function is never made an object
        return what
    try:
        return what(*args, **kwargs)
    except Exception as error:
        raise UnusableError(
            f"{argument}: {what.__name__} cannot be made with --args {args} {kwargs}: {named(error)}"
        ) from error


def _draw(rng: np.random.Generator, words: str, scale: float, argument: str) -> np.ndarray:
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
            f"{argument}: cannot read {words!r}; expected a shape such as 4x16, 4x16:positive or 4x16:unit, "
            "or 4:10 for whole numbers below 10"
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
                "notes": list(each.notes),
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

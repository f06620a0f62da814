"""Several cases in one test, where a test for each would cost more than what it tests."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from scratch import random


def all_in_one(name: str, values: Mapping[str, Any] | Iterable[Any]) -> Callable[[Any], Any]:
    """As pytest.mark.parametrize, in one test: all values are tried, and each that fails is named.

    Each begins with the same random numbers. The test is skipped if it is skipped for every value.
    """
    named = values.items() if isinstance(values, Mapping) else [(repr(value), value) for value in values]
    cases = list(named)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def all_of_them(*args: Any, **kwargs: Any) -> None:
            ours, theirs = random.get_rng_state(), torch.get_rng_state()
            failures: list[Exception] = []
            skips: list[BaseException] = []
            for words, value in cases:
                random.set_rng_state(ours)
                torch.set_rng_state(theirs)
                try:
                    test(*args, **kwargs, **{name: value})
                except pytest.skip.Exception as skip:
                    skips.append(skip)
                except Exception as error:
                    error.add_note(f"{name}: {words}")
                    failures.append(error)
            if failures:
                raise (
                    failures[0] if len(failures) == 1 else ExceptionGroup(f"of {len(cases)} cases", failures)
                )
            if len(skips) == len(cases):
                raise skips[0]

        given = inspect.signature(test)
        left = [parameter for parameter in given.parameters.values() if parameter.name != name]
        all_of_them.__signature__ = given.replace(parameters=left)  # type: ignore[attr-defined]
        return all_of_them

    return decorate


dtypes = all_in_one("dtype", {"float32": np.float32, "float64": np.float64})

"""Backward passes found in public, in the forms of their authors: right and wrong, and the cause."""

import re
from functools import cache
from typing import Any

import pytest
from open_cases import layers, networks, optimizers, tensors
from open_cases.case import Case

from torch_ref import check, check_loss, check_optimizer

pytestmark = pytest.mark.long

CASES = {case.name: case for kind in (layers, networks, tensors, optimizers) for case in kind.CASES}
RIGHT, WRONG, CAUSE = "right", "wrong", "cause"


def parameters(question: str) -> list[Any]:
    """The cases of which this is asked; those not yet as they should be, and why."""
    asked = [case for case in CASES.values() if question != CAUSE or case.cause is not None]
    return [
        pytest.param(
            case.name,
            marks=pytest.mark.xfail(strict=True, reason=case.broken[question])
            if question in case.broken
            else (),
        )
        for case in asked
    ]


def judged(case: Case, wrong: bool) -> Any:
    mine, reference = case.mine(wrong), None if case.reference is None else case.reference()
    if case.call == "check":
        return check(mine, reference, *case.inputs(), **case.options)
    if case.call == "check_loss":
        return check_loss(*mine, *case.inputs(), **case.options)
    return check_optimizer(mine, reference, **case.options)


@cache
def wrong_one(name: str) -> Any:
    return judged(CASES[name], wrong=True)


@pytest.mark.parametrize("name", parameters(RIGHT))
def test_what_is_right_is_accepted(name):
    result = judged(CASES[name], wrong=False)

    assert result, result


@pytest.mark.parametrize("name", parameters(WRONG))
def test_what_is_wrong_is_refused(name):
    assert not wrong_one(name)


@pytest.mark.parametrize("name", parameters(CAUSE))
def test_the_cause_is_named(name):
    result = wrong_one(name)

    sentences = [*map(str, result.causes), *getattr(result, "side_effects", ())]
    named = [each for each in sentences if not each.startswith("unknown")]
    assert any(re.search(CASES[name].cause, each) for each in named), sentences


def test_every_case_has_a_name_of_its_own():
    assert len(CASES) == sum(len(kind.CASES) for kind in (layers, networks, tensors, optimizers))

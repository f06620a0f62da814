"""Backward passes by an author who had not seen the checker: right ones pass, wrong ones are refused."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from unseen.case import Case
from unseen.prove import all_cases, judge

from sampled import one_in
from torch_ref import check, check_loss

CASES = all_cases()
RIGHT = [case for case in CASES if case.right]
WRONG = [case for case in CASES if not case.right]


def judged(case: Case) -> Any:
    """As a user would call it."""
    mine, inputs = case.mine(), copy.deepcopy(case.inputs)
    if case.params is not None:
        return check_loss(mine, case.parameters(mine), *inputs, **case.options)
    if case.style == "torch":
        inputs = tuple(torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in inputs)
    reference = None if case.reference is None else case.reference()
    return check(mine, reference, *inputs, **case.options)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_right_or_wrong_by_autograd(case):
    with np.errstate(all="ignore"):
        complaint, found = judge(case)
    assert not complaint, (complaint, found)


@pytest.mark.parametrize("case", one_in(20, RIGHT, lambda case: case.name))
def test_what_is_right_is_accepted(case):
    result = judged(case)

    assert result, result


@pytest.mark.parametrize("case", one_in(20, WRONG, lambda case: case.name))
def test_what_is_wrong_is_refused(case):
    assert not judged(case), case.mistake

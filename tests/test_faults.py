"""Every mistake of the zoo, in every module that can make it, is refused and called by its name."""

import numpy as np
import pytest
import torch

import scratch
from scratch import nn
from scratch.numerical import Objective
from torch_ref import check, first_divergence, mirror
from torch_ref.catalog import LOSSES, MODULES, Case
from torch_ref.check import Sides, on_kinks
from torch_ref.faults import FAULTS, Fault, faults_of, inject, switch_on

CASES = [(case, fault) for case in (*MODULES, *LOSSES) for fault in faults_of(case.make(np.float64))]


def inputs_of(case: Case, scale: float) -> tuple[np.ndarray, ...]:
    x, *others = case.draw(np.float64, 0)
    if case.kind not in ("BCELoss", "NLLLoss") and x.dtype.kind == "f":
        x = x * scale
    return (x, *others)


def tensors(objective: Objective, passes: int) -> dict[str, np.ndarray]:
    outputs, gradients = objective.run(passes=passes)
    return outputs | gradients.named()


def matters(right: nn.Module, wrong: nn.Module, inputs: tuple[np.ndarray, ...]) -> bool:
    """Whether the mistake changes any number at all: transposing a 1x1 weight, say, is none."""
    twin = mirror(right)
    a, b = Sides(right, twin, inputs), Sides(wrong, twin, inputs)
    for given in (a.inputs, on_kinks(a.inputs)):
        try:
            pair = [sides.cast(np.dtype(np.float64), given)[0] for sides in (a, b)]
        except (ValueError, IndexError):  # not defined on the kinks
            continue
        for passes in (1, 2):
            ours, theirs = (tensors(objective, passes) for objective in pair)
            largest = max(np.max(np.abs(t), initial=0) for t in ours.values())
            if any(np.max(np.abs(t - theirs[name]), initial=0) > 1e-9 * largest for name, t in ours.items()):
                return True
    return False


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize(("case", "fault"), CASES, ids=[f"{c.name}-{f.name}" for c, f in CASES])
def test_every_mistake_is_refused_and_named(case: Case, fault: Fault, scale: float) -> None:
    right, inputs = case.make(np.float64), inputs_of(case, scale)
    wrong = inject(fault, right)
    if not matters(right, wrong, inputs):
        pytest.skip("here it changes no number")
    found = check(wrong, mirror(right), *inputs)
    assert not found
    if fault.name == "gradients are overwritten instead of added up":
        assert "backward overwrites the gradient" in found.verdict
    else:
        assert [cause.name for cause in found.causes] == [fault.name]


def test_every_mistake_can_be_made_somewhere() -> None:
    assert {fault.name for _, fault in CASES} == {fault.name for fault in FAULTS}


def test_a_right_module_is_not_changed_by_injecting() -> None:
    module = nn.Tanh()
    inject(next(faults_of(module)), module)
    assert type(module) is nn.Tanh


@pytest.mark.parametrize(
    ("at", "name"),
    [
        ("1", "the activation's derivative is missing"),
        ("2", "the dropout mask is drawn anew in backward"),
        ("2", "dropout does not scale what it keeps by 1/(1-p)"),
        ("3", "the weights are updated before the error has passed through them"),
        ("5", "parameter gradients divided by the batch size"),
    ],
)
def test_in_a_network_the_first_wrong_layer_is_found(at: str, name: str) -> None:
    scratch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 5, dtype=np.float64),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(5, 4, dtype=np.float64),
        nn.ReLU(),
        nn.Linear(4, 3, dtype=np.float64),
    )
    twin = mirror(model)
    x, target = np.random.default_rng(0).standard_normal((7, 6)), np.array([0, 1, 2, 0, 1, 2, 0])
    losses = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss(), "target": target}
    assert first_divergence(model, twin, x, **losses)
    switch_on(next(fault for fault in FAULTS if fault.name == name), model[int(at)])
    found = first_divergence(model, twin, x, **losses)
    assert not found
    assert found.first.name == at
    assert [cause.name for cause in found.first.causes] == [name]
    assert list(found.frame["verdict"]).count("right") == 5


def test_layers_of_other_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"model has the layers \['0'\], twin \['0', '1'\]"):
        first_divergence(
            nn.Sequential(nn.Tanh()), torch.nn.Sequential(torch.nn.Tanh(), torch.nn.ReLU()), np.ones((1, 2))
        )

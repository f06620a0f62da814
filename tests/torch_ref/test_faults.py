"""Every mistake of the zoo is refused and called by its name; wherever it can be made in a campaign."""

from itertools import islice

import numpy as np
import pytest
import torch

import scratch
from reports.runner import detectors
from reports.runner.detectors import DETECTORS, RIGHT, SCALES, confirmed_names, kill_matrix, trials
from sampled import one_in
from scratch import nn
from torch_ref import check, first_divergence, mirror
from torch_ref.faults import FAULTS, PARAMETRIC, Fault, faults_of, inject, switch_on

# Every module with parameters can make the same few mistakes around its formula. These stand for all: they
# have one input or several, a state, integers, running statistics, or parameters in several forms.
SOME = {
    "Linear",
    "PReLU",
    "LSTM",
    "GRUCell",
    "Conv2d",
    "BatchNorm1d",
    "MultiheadAttention",
    "Embedding",
    "Bilinear",
}


@pytest.mark.parametrize("fault", one_in(5, FAULTS, lambda fault: fault.name))
@pytest.mark.parametrize("scales", [(1.0,), pytest.param(SCALES, marks=pytest.mark.campaign)], ids=str)
def test_every_mistake_is_refused_and_named(fault: Fault, scales: tuple[float, ...]) -> None:
    everywhere = scales is SCALES
    tried = trials(fault, scales, every=everywhere)
    if not everywhere and PARAMETRIC in fault.kinds:
        tried = (trial for trial in tried if trial.case.kind in SOME)
    elif not everywhere:
        tried = islice(tried, 1)
    count = 0
    for count, trial in enumerate(tried, 1):  # noqa: B007
        found = check(trial.module, trial.reference, *trial.inputs)
        assert not found, trial.case.name
        # Where numbers are all very large, two mistakes may give the same ones.
        names = confirmed_names(found)
        assert names == {fault.name} or (everywhere and fault.name in names), trial.case.name
    assert count


def test_a_mistake_that_changes_no_number_is_not_tried() -> None:
    transposed = next(fault for fault in FAULTS if fault.name == "the weight gradient is transposed")
    assert {trial.case.args for trial in trials(transposed)} == {(5, 5)}


def test_the_kill_matrix_counts_what_each_detector_refuses(monkeypatch) -> None:
    monkeypatch.setattr(
        detectors, "MODULES", [c for c in detectors.MODULES if c.kind in ("Linear", "Tanh", "ReLU")]
    )
    monkeypatch.setattr(detectors, "LOSSES", [])
    names = (
        "gradients are overwritten instead of added up",
        "the slope at 0 is 1",
        "the square is missing in 1 - y²",
    )
    table = kill_matrix([*(f for f in FAULTS if f.name in names), None], (1.0,), every=False).set_index(
        "mistake"
    )
    assert (table["gradmirror"][:-1] == table["tried"][:-1]).all()
    assert (table["named"][:-1] == table["tried"][:-1]).all()
    assert (table["misnamed"] == 0).all()
    assert (table.loc[[RIGHT], list(DETECTORS)] == 0).all(axis=None)
    assert table.loc[names[0], "gradcheck"] == 0
    assert table.loc[names[1], "assert_close"] == 0
    assert table.loc[names[2], "assert_close"] == 1


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


@pytest.mark.parametrize("detector", ["assert_close", "cosine > 0.99", "mean error < 1e-6"])
def test_the_detectors_of_others_refuse_nan(detector) -> None:
    class NoNumber(nn.Tanh):
        def backward(self, dy):
            return dy * np.nan

    case = next(case for case in detectors.MODULES if case.kind == "Tanh")
    x = np.random.default_rng(0).normal(size=(2, 3))
    trial = detectors.Trial(case, NoNumber(), torch.nn.Tanh(), (x,))
    assert detectors.OTHERS[detector](trial)
    assert not detectors.OTHERS[detector](trial._replace(module=nn.Tanh()))

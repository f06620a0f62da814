"""compare_training: two trainings stay together, or it says where they part."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import scratch
from scratch import nn, optim
from torch_ref import Training, compare_training, mirror

LOSSES: dict[str, Any] = {"loss_fn": nn.CrossEntropyLoss(), "twin_loss_fn": torch.nn.CrossEntropyLoss()}


def network(dtype: Any) -> nn.Sequential:
    scratch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16, dtype=dtype), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4, dtype=dtype)
    )


def batches(dtype: Any, count: int = 30) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    rule = rng.standard_normal((8, 4))
    xs = rng.standard_normal((count, 10, 8))
    return [(x.astype(dtype), np.argmax(x @ rule, axis=1)) for x in xs]


def train(
    ours: Callable[[Any], optim.Optimizer],
    theirs: Callable[[Any], torch.optim.Optimizer],
    dtype: Any = np.float32,
) -> Training:
    model = network(dtype)
    return compare_training(
        model, mirror(model), batches(dtype), optimizer=ours, twin_optimizer=theirs, **LOSSES
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "lr"), [("SGD", 0.3), ("Adam", 0.02), ("RMSprop", 0.01)])
def test_right_code_stays_together(kind: str, lr: float, dtype: Any) -> None:
    found = train(
        lambda p: getattr(optim, kind)(p, lr=lr), lambda p: getattr(torch.optim, kind)(p, lr=lr), dtype
    )
    assert found, found
    assert found.parts_at is None
    assert len(found.frame) == 31
    last = found.frame.iloc[-1]
    assert last["programs"] <= last["allowed"] < 1e-11
    assert last["drift"] < 1e3 * np.finfo(dtype).eps
    assert last["state"] < 1e3 * np.finfo(dtype).eps
    assert found.frame["numpy_loss"].iloc[-1] < found.frame["numpy_loss"].iloc[1]
    assert "are the same program" in str(found)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p: optim.Adam(p), lambda p: torch.optim.Adam(p, eps=1e-7)),
        (lambda p: optim.SGD(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.100001)),
        (
            lambda p: optim.Adam(p, weight_decay=1e-3),
            lambda p: torch.optim.Adam(p, weight_decay=1e-3, decoupled_weight_decay=True),
        ),
    ],
    ids=["eps", "lr", "decay"],
)
def test_another_program_parts_at_the_first_step(ours: Any, theirs: Any) -> None:
    found = train(ours, theirs, np.float64)
    assert not found
    assert found.parts_at == 1
    assert "part at step 1" in found.verdict


def test_a_mistake_that_begins_late_is_found_where_it_begins() -> None:
    class Late(optim.SGD):
        steps = 0

        def step(self, closure: Any = None) -> Any:
            self.steps += 1
            if self.steps == 11:
                self.param_groups[0]["lr"] *= 1.001
            return super().step(closure)

    assert train(lambda p: Late(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)).parts_at == 11


@pytest.mark.long
def test_right_code_stays_together_where_training_multiplies_roundings() -> None:
    model = network(np.float32)
    found = compare_training(
        model,
        mirror(model),
        batches(np.float32, 100),
        optimizer=lambda p: optim.Adam(p, lr=1.0),
        twin_optimizer=lambda p: torch.optim.Adam(p, lr=1.0),
        **LOSSES,
    )
    assert found.parts_at is None
    assert found.frame["allowed"].iloc[-1] > 10 * found.frame["allowed"].iloc[0]
    assert found.inconclusive or "are the same program" in found.verdict


def test_where_rounding_costs_too_many_digits_it_says_so() -> None:
    rows = {"step": [0, 1], "numpy_loss": [np.nan, 1.0], "torch_loss": [np.nan, 1.0], "programs": [0, 1e-5]}
    rows["roundings"] = [np.nan, np.nan]
    found = Training(pd.DataFrame({**rows, "allowed": [1e-15, 1e-4]}), np.dtype(np.float64), "weight")
    assert found.parts_at is None
    assert not found
    assert "Inconclusive: rounding explains 1.0e-04" in found.verdict


def train_changed(change: type[nn.Module], at: int, dtype: Any, count: int = 3) -> Training:
    """The network with a batch norm, by SGD, a module of the NumPy side made another class."""
    scratch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 4)).to(dtype)
    twin = copy.deepcopy(mirror(model))
    model[at].__class__ = change
    return compare_training(
        model,
        twin,
        batches(dtype, count),
        optimizer=lambda p: optim.SGD(p, lr=0.1),
        twin_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        **LOSSES,
    )


@pytest.mark.parametrize("to", [lambda dy: 0 * dy, lambda dy: dy.astype(np.float16).astype(np.float32)])
def test_a_gradient_that_is_wrong_in_float32_alone_is_found(to: Any) -> None:
    class Short(nn.Linear):
        def backward(self, dy: Any) -> Any:
            return super().backward(to(dy) if dy.dtype == np.float32 else dy)

    assert train_changed(Short, 3, np.float64)
    found = train_changed(Short, 3, np.float32)
    assert not found
    assert found.parts_at is None
    assert found.departs_at == 1
    assert found.verdict.startswith(
        "In float32 NumPy departs from its own float64: from step 1 on the gradient of"
    )


def test_an_update_that_is_wrong_in_float32_alone_is_found_where_it_begins() -> None:
    class Late(optim.SGD):
        steps = 0

        def step(self, closure: Any = None) -> Any:
            self.steps += 1
            if self.steps > 10 and self.param_groups[0]["params"][0].dtype == np.float32:
                return None
            return super().step(closure)

    found = train(lambda p: Late(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1))
    assert found.departs_at == 11
    assert "from step 11 on the update of " in found.verdict


def test_one_step_that_a_rounding_threw_far_is_not_held_against_it() -> None:
    found = train(lambda p: optim.SGD(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1))
    assert found.frame["roundings"].max() < 4
    for steps, departs in (([7], None), ([7, 8], None), ([7, 9, 11], 7), ([28, 29, 30], 28)):
        frame = found.frame.copy()
        frame.loc[steps, "roundings"] = np.inf
        assert Training(frame, found.dtype, "").departs_at == departs


def test_buffers_are_compared() -> None:
    class Still(nn.BatchNorm1d):
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            self.running_var[...] = 3
            return y

    found = train_changed(Still, 1, np.float64)
    assert found.parts_at == 1
    assert found.worst == "1.running_var"


def test_each_side_gets_a_copy_of_the_batch() -> None:
    class Changes(nn.Linear):
        def forward(self, x: Any) -> Any:
            x *= 1.01
            return super().forward(x)

    assert train_changed(Changes, 0, np.float64).parts_at == 1


def test_weights_that_become_nan_part() -> None:
    class Breaks(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            self.param_groups[0]["params"][0].data[0, 0] = np.nan

    model = network(np.float64)
    found = compare_training(
        model,
        mirror(model),
        batches(np.float64, 1),
        optimizer=lambda p: Breaks(p, lr=0.1),
        twin_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        **LOSSES,
    )
    assert not found


def test_neither_side_is_changed() -> None:
    model = network(np.float64)
    twin = mirror(model)
    before, state = [p.data.copy() for p in model.parameters()], torch.get_rng_state()
    compare_training(
        model,
        twin,
        batches(np.float64, 2),
        optimizer=lambda p: optim.SGD(p, lr=0.1),
        twin_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        **LOSSES,
    )
    assert all(np.array_equal(p.data, w) for p, w in zip(model.parameters(), before, strict=True))
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_bad_input() -> None:
    model = network(np.float32)

    def run(twin: torch.nn.Module, given: Any) -> Training:
        return compare_training(
            model,
            twin,
            given,
            optimizer=lambda p: optim.SGD(p, lr=0.1),
            twin_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
            **LOSSES,
        )

    with pytest.raises(ValueError, match="compare_training: batches is empty"):
        run(mirror(model), [])
    with pytest.raises(ValueError, match="compare_training: model has parameters"):
        run(torch.nn.Linear(8, 4), batches(np.float32))
    with pytest.raises(ValueError, match=r"compare_training: 3\.weight differs"):
        run(_with_other_weights(model), batches(np.float32))
    with pytest.raises(FloatingPointError, match="the loss of NumPy is nan in step 1"):
        run(mirror(model), [(np.full((10, 8), np.nan, np.float32), np.zeros(10, np.int64))])


def _with_other_weights(model: nn.Module) -> torch.nn.Module:
    twin = copy.deepcopy(mirror(model))
    torch.nn.init.zeros_(twin.get_parameter("3.weight"))
    return twin

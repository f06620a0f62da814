"""A torch that draws as no kernel of scratch.random does: the report copies weights, says so, judges on."""

import numpy as np
import pytest

from reports.page.page import facts
from reports.runner import environment, networks
from reports.sections import accuracy
from scratch import random
from torch_ref.twin.kernel import fitting_kernel


@pytest.fixture
def other_generator(monkeypatch) -> None:
    """Reals and normals of scratch that are off by an ulp, whatever the kernel."""
    exactly = random.generator._multiply_add

    def off(x: np.ndarray, y: float, z: float) -> np.ndarray:
        found = exactly(x, y, z)
        return np.nextafter(found, np.inf, dtype=found.dtype)

    monkeypatch.setattr(random.generator, "_multiply_add", off)
    fitting_kernel.cache_clear()
    yield
    fitting_kernel.cache_clear()


def test_both_sides_start_from_the_same_weights_all_the_same(other_generator) -> None:
    assert fitting_kernel() is None
    model, twin = networks.by_name("xor_net").build("float32", 0)
    theirs = twin.state_dict()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, theirs[name].numpy())
        assert not np.shares_memory(value, theirs[name].numpy())


def test_trainings_stay_together(other_generator) -> None:
    rows = accuracy.train_both(networks.by_name("xor_net"), 20, "float64", 0).epochs
    assert len(rows) == 21
    assert rows["relative_drift"].max() < 1e-12


@pytest.mark.campaign
def test_the_report_says_so_and_agrees(other_generator, main) -> None:
    words = ["--quick", "--datasets", "digits", "--seeds", "1", "--epochs", "1"]
    ran = main("report", *words, "--out", "out")
    assert ran.code == 0, ran.stdout + ran.stderr
    fact = facts(environment.describe([], 1))["Random numbers"]
    assert fact == (
        "PyTorch draws here as no kernel of scratch.random does, so NumPy's side started from copies of "
        "PyTorch's weights"
    )


def test_where_a_kernel_fits_the_facts_name_it() -> None:
    if fitting_kernel() is None:
        pytest.skip("torch draws as no kernel of scratch.random does here")
    fact = facts(environment.describe([], 1))["Random numbers"]
    assert fact == f"from one seed the same on both sides, by the kernel {fitting_kernel()}"

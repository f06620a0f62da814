"""``gradmirror models`` and ``coverage``, the memory of a step, and the text that networks read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports import cli
from reports.runner import coverage, frameworks, memory
from scratch import datasets, nn

SHORT = ("models", "--only", "mlp_batchnorm", "--steps", 3, "--rounds", 3, "--out", "models.csv")


@pytest.mark.long
def test_a_network_is_trained_timed_and_measured(main):
    said = main(*SHORT)
    assert said.code == 0
    (row,) = pd.read_csv("models.csv").to_dict("records")
    assert (row["network"], row["batch"], row["steps"], row["verdict"]) == ("mlp_batchnorm", 100, 3, "agree")
    assert row["setting"] in frameworks.TORCH_OPTIONS
    assert 0 < row["low"] <= row["ratio"] <= row["high"]
    # 784 x 100 weights alone are 0.3 MB, and their gradients as many.
    assert min(row["numpy_bytes"], row["torch_bytes"]) > 2e5
    assert "mlp_batchnorm" in said.out
    assert "models.csv" in said.out


@pytest.mark.long
def test_a_network_with_a_wrong_gradient_ends_with_1(main, monkeypatch):
    right = nn.BatchNorm1d.backward
    monkeypatch.setattr(nn.BatchNorm1d, "backward", lambda *args, **kwargs: right(*args, **kwargs) * 1.01)
    monkeypatch.setattr(memory, "peak", lambda name, side: 0)
    said = main(*SHORT)
    assert said.code == 1
    assert "mlp_batchnorm: not timed: the gradients disagree in 0.weight, " in said.err


@pytest.mark.long
def test_the_memory_of_an_unknown_network_is_refused():
    with pytest.raises(memory.subprocess.CalledProcessError):
        memory.peak("no_net", "numpy")


def test_coverage_counts_what_is_missing(main, monkeypatch):
    whole = main("coverage")
    assert whole.code == 0
    monkeypatch.delattr(nn, "Tanh")
    less = main("coverage")
    here = [int(printed.out.rsplit("\n", 2)[-2].split()[0]) for printed in (whole, less)]
    assert here[0] - here[1] == 1
    row = coverage.table().set_index("PyTorch's file").loc["nn/activation"]
    assert row["not here"] == "Tanh"


# ---- the text


def test_a_label_is_the_next_character():
    text = datasets.text(16)
    for part in (text.train, text.test):
        x, label = part.tensors
        assert x.dtype == label.dtype == np.int64
        assert x.shape == label.shape
        assert x.shape[1] == 16
        np.testing.assert_array_equal(x[:, 1:], label[:, :-1])
        assert max(x.max(), label.max()) < len(text.characters)
    assert len(text.test) == round(0.1 * (len(text.train) + len(text.test)))


def test_the_pieces_are_of_the_text_and_each_is_there_once():
    from pydoc_data.topics import topics

    whole = "\n".join(topics[name] for name in sorted(topics))
    text = datasets.text(32, test_size=0.3, seed=5)
    rows = np.concatenate([text.train.tensors[0], text.test.tensors[0]])
    pieces = {"".join(text.characters[i] for i in row) for row in rows}
    count = (len(whole) - 1) // 32
    assert len(rows) == count
    assert pieces == {whole[32 * i : 32 * (i + 1)] for i in range(count)}


def test_another_seed_gives_another_order():
    first, again, other = (datasets.text(64, seed=seed).test.tensors[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": 0}, "context is 0, expected 1 or more"),
        ({"test_size": 0}, "test_size is 0, expected a number between 0 and 1"),
        ({"test_size": 1.5}, "test_size is 1.5"),
    ],
)
def test_bad_arguments_of_the_text(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.text(**options)


def test_an_unknown_model_is_refused_and_the_known_are_told(main, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["models", "--only", "no_net"])
    assert stopped.value.code == 2
    assert "mlp_batchnorm" in capsys.readouterr().err
    assert not Path("reports").exists()

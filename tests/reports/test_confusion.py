"""The predictions of the trained networks: the confusion of both sides, and the misread pictures."""

import numpy as np
import pandas as pd
import pytest

from reports.runner import confusion, networks
from reports.runner.data import Data
from reports.sections import accuracy, gradients
from scratch import datasets
from scratch.data import TensorDataset
from scratch.datasets import Splits


@pytest.fixture(scope="module")
def digits() -> networks.Network:
    splits = {dtype: datasets.digits(dtype=dtype) for dtype in gradients.DTYPES}
    few = {
        dtype: Splits(TensorDataset(*each.train[:200]), TensorDataset(*each.test[:80]))
        for dtype, each in splits.items()
    }
    return networks.two_layer(few, hidden_size=4, batch_size=30)


def read(network, change) -> dict[str, pd.DataFrame]:
    """The readings of two sides that are right but for what ``change`` does to NumPy's and PyTorch's."""
    label = network.splits["float32"].test.tensors[1]
    ours, theirs = label.copy(), label.copy()
    change(ours, theirs)
    return confusion.tables(network, "float32", 3, ours, theirs)


def both(ours, theirs):
    """Both misread samples 5 and 9 as the next digit; PyTorch alone misreads 7, and each 11 in its way."""
    for side in (ours, theirs):
        side[[5, 9]] = (side[[5, 9]] + 1) % 10
    theirs[7] = (theirs[7] + 2) % 10
    ours[11], theirs[11] = (ours[11] + 3) % 10, (theirs[11] + 4) % 10


def test_the_misread_pictures_are_those_of_the_test_set_the_differing_first(digits):
    x, label = digits.splits["float32"].test.tensors
    misread = read(digits, both)["misread"]
    assert list(misread) == [
        *("network", "batch", "dtype", "seed", "index", "label", "numpy", "torch", "pixels"),
    ]
    assert misread["index"].tolist() == [7, 11, 5, 9]
    assert misread["label"].tolist() == label[[7, 11, 5, 9]].tolist()
    assert ((misread["numpy"] - misread["label"]) % 10).tolist() == [0, 3, 1, 1]
    assert ((misread["torch"] - misread["label"]) % 10).tolist() == [2, 4, 1, 1]
    assert set(misread["network"]) == {"64-4-10"}
    assert set(misread["batch"]) == {30}
    assert set(misread["dtype"]) == {"float32"}
    assert set(misread["seed"]) == {3}
    for row in misread.itertuples():
        greys = np.frombuffer(bytes.fromhex(row.pixels), np.uint8)
        np.testing.assert_array_equal(greys, np.rint(255 * x[row.index]))


def test_the_confusion_counts_every_sample_once(digits):
    label = digits.splits["float32"].test.tensors[1]
    confusion = read(digits, both)["confusion"]
    assert list(confusion) == [
        *("network", "batch", "dtype", "seed", "label", "predicted_numpy", "predicted_torch", "count"),
    ]
    assert confusion["count"].sum() == 80
    assert not confusion.duplicated(["label", "predicted_numpy", "predicted_torch"]).any()
    right = confusion[confusion["predicted_numpy"] == confusion["label"]]
    assert right["count"].sum() == 77
    for each, rows in confusion.groupby("label"):
        assert rows["count"].sum() == np.count_nonzero(label == each)
    shown = accuracy.mistaken(confusion)
    assert shown["times"].astype(int).sum() == 4
    assert list(shown) == [
        *("network", "batch", "seed", "is a", "NumPy reads", "PyTorch reads", "times"),
    ]


def test_of_many_misread_only_the_first_have_a_picture(digits):
    def all_wrong(ours, theirs):
        ours[:], theirs[:] = (ours + 1) % 10, (theirs + 1) % 10

    misread = read(digits, all_wrong)["misread"]
    assert misread["index"].tolist() == list(range(80))
    assert misread["pixels"].notna().tolist() == [row < 24 for row in range(80)]
    assert len(accuracy.misread(misread)) == 80


def test_where_all_is_right_there_is_no_table_of_the_misread_and_no_figure(digits):
    found = read(digits, lambda ours, theirs: None)
    assert list(found) == ["confusion"]
    assert [name for name, _, _ in accuracy.predictions(found)] == ["confusion-64-4-10-30"]


def trained(plans, seeds) -> dict[str, pd.DataFrame]:
    return accuracy.Accuracy().run(accuracy.tasks(plans, dtype="float32", seeds=seeds)).tables


def test_the_section_has_them_of_the_first_seed_and_of_pictures_only(digits):
    xor = networks.xor({dtype: datasets.xor(dtype=dtype) for dtype in gradients.DTYPES})
    found = trained([(digits, 2, 1), (xor, 2, 1)], seeds=[4, 5])
    for name in ("confusion", "misread"):
        assert set(found[name]["network"]) == {"64-4-10"}
        assert set(found[name]["seed"]) == {4}
    right = found["confusion"].query("label == predicted_numpy")["count"].sum()
    assert right / 80 == pytest.approx(found["accuracy"].query("seed == 4")["numpy_test_accuracy"].iloc[0])
    assert set(trained([(xor, 2, 1)], seeds=[4])) == {
        "epochs",
        "accuracy",
    }


@pytest.mark.parametrize(
    ("shape", "side"), [((5, 784), 28), ((5, 64), 8), ((5, 1, 8, 8), 8), ((5, 16), 4), ((0, 784), 28)]
)
def test_square_pictures_are_known_by_their_shape(shape, side):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = confusion.square(x)
    assert found.shape == (shape[0], side, side)
    np.testing.assert_array_equal(found.ravel(), x.ravel())


@pytest.mark.parametrize("shape", [(4, 2), (4, 9), (5, 783), (5, 3, 8, 8), (5, 8, 8), (5, 1, 4, 16)])
def test_what_is_no_square_picture_is_none(shape):
    assert confusion.square(np.zeros(shape, np.float32)) is None


def test_numbers_of_characters_are_no_pictures():
    assert confusion.square(np.zeros((4, 64), np.int64)) is None


def test_the_confusion_is_that_of_the_accuracy_beside_it():
    """Batch norm reads otherwise while it is trained."""
    network = networks.by_name("mlp_batchnorm", Data("digits"))
    found = trained([(network, 1, 1)], seeds=[0])
    right = found["confusion"].query("label == predicted_numpy")["count"].sum()
    assert right / found["confusion"]["count"].sum() == pytest.approx(
        found["accuracy"]["numpy_test_accuracy"][0]
    )

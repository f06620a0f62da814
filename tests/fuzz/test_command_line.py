"""``gradmirror check`` on hostile files and arguments, any command on hostile words: exit 2, a sentence."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.tally import CLEAR, FINE, HOUSE, LARGE, RAW, WRONG, Tally, each, sized
from reports import cli
from reports.runner import apart, user_code

AREA = "gradmirror check, hostile files and arguments"
pytestmark = pytest.mark.filterwarnings("ignore")

SQUARE = """
import numpy as np
class Square:
    def __init__(self, *args, **kwargs):
        INIT
    def forward(self, x):
        self.x = x
        FORWARD
        return x * x
    def backward(self, dy):
        BACKWARD
        return 2 * self.x * dy
FILE
"""
PLACES = ("INIT", "FORWARD", "BACKWARD", "FILE")


def source(place: str, statement: str) -> str:
    text = SQUARE
    for each_place in PLACES:
        text = text.replace(each_place, statement if each_place == place else "pass")
    return text


# None of these is a right backward that was checked.
ENDS = {
    "sys.exit(0)": "import sys; sys.exit(0)",
    "sys.exit()": "import sys; sys.exit()",
    "quit()": "quit()",
    "exit(0)": "exit(0)",
    "raise SystemExit": "raise SystemExit",
    "SystemExit('0')": "raise SystemExit('0')",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "BaseException": "raise BaseException('mine')",
    "a group of SystemExit": "raise BaseExceptionGroup('g', [SystemExit(0)])",
    "an error": "raise ValueError('mine')",
    "an error without text": "raise ValueError",
    "an error whose text fails": (
        "\n        class E(Exception):\n            def __str__(self): raise ValueError\n        raise E"
    ),
    "BrokenPipeError": "raise BrokenPipeError",
    "MemoryError": "raise MemoryError",
    "RecursionError": "raise RecursionError('deep')",
    "StopIteration": "raise StopIteration",
    "AssertionError": "assert False",
    "NotImplementedError": "raise NotImplementedError",
    "UnicodeError": "b'\\xff'.decode()",
    "a missing import": "import no_such_package",
    "a name that is none": "no_such_name",
}
PROCESS_ENDS = {
    "os._exit(0)": "import os; os._exit(0)",
    "os.abort()": "import os; os.abort()",
    "os.kill(9)": "import os; os.kill(os.getpid(), 9)",
    "os.execv": "import os; os.execv('/bin/true', ['true'])",
    "closed files": "import os; os.closerange(0, 99)",
    "a thread that exits": (
        "import threading, os; threading.Thread(target=os._exit, args=(0,)).start(); "
        "import time; time.sleep(1)"
    ),
    "atexit": "import atexit, os; atexit.register(os._exit, 0); raise SystemExit",
    "print an answer": (
        'import os; os.write(1, b\'{"answer": {"code": 0, "shown": "", "json": ""}}\\n\'); os._exit(0)'
    ),
}
RETURNS = (
    "None",
    "0",
    "'a'",
    "[]",
    "()",
    "{}",
    "object()",
    "x.tolist()",
    "x[:0]",
    "x[0]",
    "x.astype(str)",
    "x.astype(object)",
    "np.nan * x",
    "(x, x)",
    "(x,)",
    "np.ma.array(x)",
    "x > 0",
    "1j * x",
    "type(x)",
    "iter([x])",
    "x.astype('f2')",
    "np.float64(1)",
    "lambda x: x",
    "NotImplemented",
    "...",
    "x[None]",
    "x.T",
)
FILES: dict[str, bytes] = {
    "empty": b"",
    "nothing but a comment": b"# nothing",
    "not Python": b"this is no Python",
    "cut short": b"class Square:\n    def forward(self, x",
    "nul": b"class Square: pass\0",
    "latin-1": "# ü\nclass Square: pass".encode("latin-1"),
    "utf-16": "class Square: pass".encode("utf-16"),
    "a bom": "\ufeffclass Square: pass".encode(),
    "an unknown coding": b"# -*- coding: none-such -*-\nclass Square: pass",
    "tabs and spaces": b"class Square:\n\tdef f(self):\n        pass\n",
    "deep": b"x = " + b"(" * 500 + b")" * 500,
    "a number": b"Square = 3",
    "None": b"Square = None",
    "a module": b"import os as Square",
    "a text": b"Square = 'forward'",
    "an instance": b"class A: pass\nSquare = A()",
    "no forward": b"class Square:\n    def backward(self, dy): return dy",
    "no backward": b"class Square:\n    def forward(self, x): return x",
    "abstract": (
        b"import abc\nclass Square(abc.ABC):\n    @abc.abstractmethod\n"
        b"    def forward(self, x): pass\n    def backward(self, dy): pass"
    ),
    "a metaclass that fails": (
        b"class M(type):\n    def __call__(cls, *a): raise KeyError('mine')\n"
        b"class Square(metaclass=M):\n    def forward(self, x): return x\n"
        b"    def backward(self, dy): return dy"
    ),
    "attributes that fail": (
        b"class Square:\n    def forward(self, x): return x\n    def backward(self, dy): return dy\n"
        b"    def __getattr__(self, n): raise ValueError('mine')"
    ),
    "every attribute": (
        b"class Square:\n    def forward(self, x): return x\n    def backward(self, dy): return dy\n"
        b"    def __getattr__(self, n): return self"
    ),
    "a dir that fails": (
        b"class Square:\n    def forward(self, x): return x\n    def backward(self, dy): return dy\n"
        b"    def __dir__(self): raise ValueError('mine')"
    ),
    "slots": (
        b"class Square:\n    __slots__ = ()\n    def forward(self, x): self.x = x; return x\n"
        b"    def backward(self, dy): return dy"
    ),
    "no equality": (
        b"class Square:\n    def forward(self, x): return x\n    def backward(self, dy): return dy\n"
        b"    def __eq__(self, o): raise ValueError('mine')\n    __hash__ = None"
    ),
    "a dict": b"Square = {'forward': 1}",
    "an enum": b"import enum\nclass Square(enum.Enum):\n    A = 1",
    "an async forward": (
        b"class Square:\n    async def forward(self, x): return x\n    def backward(self, dy): return dy"
    ),
    "a generator": b"class Square:\n    def forward(self, x): yield x\n    def backward(self, dy): yield dy",
    "too many arguments": (
        b"class Square:\n    def forward(self, x, y, z): return x\n"
        b"    def backward(self, dy, a, b, c): return dy"
    ),
    "no arguments": b"class Square:\n    def forward(self): return 1\n    def backward(self): return 1",
    "a recursion": (
        b"class Square:\n    def forward(self, x): return self.forward(x)\n"
        b"    def backward(self, dy): return dy"
    ),
    "an exit at the import": b"raise SystemExit(0)",
    "its own name imported": b"import layer\nclass Square: pass",
}
# With what stands before them: FILE.py:NAME, an input.
WORDS = (
    [],
    [""],
    ["layer.py"],
    ["layer.py:"],
    ["layer.py:None"],
    [":Square"],
    ["nowhere.py:Square"],
    ["layer.py:square"],
    ["layer.py:Square.x"],
    ["layer.py:Square,Square"],
    ["layer.py:Square,Square,Square"],
    ["layer.py:__class__"],
    ["folder:Square"],
    [".:Square"],
    ["/dev/null:Square"],
    ["numpy.array"],
    ["no.such.Module"],
    ["..Square"],
    ["layer.py:Square\0"],
    ["layer.py:Squ\u0000are"],
    ["layer.py:\udcff"],
)
INPUTS = (
    "",
    "4x",
    "x4",
    "4x5x",
    "-1",
    "4x-5",
    "4.5",
    "0",
    "0x0",
    "4:0",
    "4:-1",
    "4:",
    ":10",
    "4x5:abc",
    "4x5:positive:unit",
    "a",
    "4X5",
    "4 5",
    "4,5",
    "9" * 30,
    "99999999999x9",
    "1" + "x1" * 70,
    "4x5\n",
    "４x５",
    "nan",
    "1e3",
)
OPTIONS = (
    ["--seed", "-1"],
    ["--seed", "a"],
    ["--seed", "9" * 40],
    ["--seeds", "0"],
    ["--seeds", "1.5"],
    ["--dtype", "float8"],
    ["--dtype", "float64", "--dtype", "float64"],
    ["--scale", "0"],
    ["--scale", "nan"],
    ["--scale", "inf"],
    ["--scale", "1e400"],
    ["--scale", "1e300"],
    ["--budget", "a"],
    ["--budget", "-1"],
    ["--budget", "nan"],
    ["--time-limit", "0"],
    ["--time-limit", "nan"],
    ["--memory-limit", "0.1"],
    ["--memory-limit", "-1"],
    ["--held", "9"],
    ["--held", "a"],
    ["--held", "-1"],
    ["--held", "0"],
    ["--transposed", "no"],
    ["--layout", "NCHW"],
    ["--layout", "NHWC"],
    ["--columns"],
    ["--authority", "reference"],
    ["--authority", "me"],
    ["--like", "no_such_formula"],
    ["--against", ""],
    ["--against", "torch.nn.NoSuch"],
    ["--against", "torch"],
    ["--against", "os.system"],
    ["--against", "torch.nn.Linear"],
    ["--against", "layer.py:Square"],
    ["--against", "nowhere.py:A"],
    ["--against", "sys.exit"],
    ["--against", "builtins.exit"],
    ["--args", "a"],
    ["--args", "1", "2", "3"],
    ["--args", "__import__('os')"],
    ["--args", "a=b=c"],
    ["--args", "=1"],
    ["--args", "(" * 200],
    ["--args", "9" * 5000],
    ["--args", "{1: }"],
    ["--against-args", "1"],
    ["--params", "layer.py:Square"],
    ["--data", "4x5"],
    ["--case", "layer.py:Square"],
    ["--json", "layer.py"],
    ["--json", ""],
    ["--json", "no/such/folder/x.json"],
    ["--json", "."],
    ["--json", "/dev/full"],
    ["--double-backward"],
    ["--no-such-option"],
    ["--input"],
    ["--inp", "4"],
    ["extra.py:A"],
)
COMMANDS = ("report", "train", "lesson", "faults", "alarms", "models", "coverage", "check", "none", "")
TRIALS = [
    *(("ends", place, name) for place in PLACES for name in ENDS),
    *(("returns", place, value) for place in ("FORWARD", "BACKWARD") for value in RETURNS),
    *(("file", name, "") for name in FILES),
    *(("words", n, "") for n in range(len(WORDS))),
    *(("input", words, "") for words in INPUTS),
    *(("options", n, "") for n in range(len(OPTIONS))),
]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(apart, "answer", user_code.answer)  # without a process of its own
    (tmp_path / "folder").mkdir(exist_ok=True)
    return tmp_path


def asked(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(words)
        except SystemExit as end:  # argparse's
            code = end.code if isinstance(end.code, int) else 99
    return code, out.getvalue(), err.getvalue()


def judged(tried: Tally, shown: str, code: int, out: str, err: str, may_pass: bool = False) -> None:
    """Refused by exit code 2 and a sentence; wrong is 1, and 0 where nothing can be right."""
    if "this is a mistake of gradmirror" in err or "Traceback" in err or code not in (0, 1, 2):
        tried.add(RAW, shown, (code, err[-500:]))
    elif code == 2:
        tried.add(CLEAR if "gradmirror" in err and len(err) > 20 else RAW, shown, err)
    elif code == 1:
        tried.add(FINE if out else RAW, shown, out)
    else:
        tried.add(FINE if may_pass else WRONG, shown, out[-300:])


def words_of(trial: tuple[str, Any, str], folder: Path) -> tuple[list[str], bool]:
    """The command line of a trial, its file written; whether it may succeed."""
    what, first, second = trial
    text, quick = source("", "").encode(), ["--dtype", "float64", "--budget", "0.01"]
    words, passes = ["layer.py:Square", "--input", "2x3"], False
    if what == "ends":
        text = source(
            first, ENDS[second] if first != "FILE" else ENDS[second].replace("        ", "")
        ).encode()
    elif what == "returns":
        text = source(
            first,
            f"return {second}".replace("x", "self.x")
            if first == "BACKWARD" and "x" in second
            else f"return {second}",
        ).encode()
        passes = first == "BACKWARD" and second in ("(x,)",)
    elif what == "file":
        text, passes = FILES[first], True
    elif what == "words":
        words = [*WORDS[first], "--input", "2x3"]
    elif what == "input":
        words, passes = ["layer.py:Square", f"--input={first}"], True
    else:
        words, passes = [*words, *OPTIONS[first]], True
    (folder / "layer.py").write_bytes(text)
    return ["check", *words, *quick], passes


@each(TRIALS, 3)
def test_hostile_code_and_words_end_in_a_sentence(tried, folder, trial) -> None:
    words, passes = words_of(trial, folder)
    before = (folder / "layer.py").read_bytes()
    try:
        found = asked(words)
    except BaseException as error:
        tried.add(RAW, trial, error)
        return
    judged(tried, f"{trial}: {words}", *found, may_pass=passes)
    assert (folder / "layer.py").read_bytes() == before


@sized(8, 400)
@given(
    command=st.sampled_from(COMMANDS),
    words=st.lists(
        st.sampled_from(
            [
                "--seed",
                "--epochs",
                "--out",
                "-1",
                "--lr",
                "nan",
                "--json",
                "x",
                "--",
                "-h9",
                "--dataset",
                "--resume",
                "--checkpoint",
                "",
                "=",
                "--seeds=0",
                "\udcff",
                "9" * 30,
            ]
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_words_are_refused_by_the_parser(tried, folder, command, words) -> None:
    """Each ends with a word that no command has: nothing is begun."""
    found = asked([command, *words, "--no-such-option"])
    judged(tried, f"{command} {words}", *found)


def process(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "import sys; from reports.cli import main; sys.exit(main())"
    env = os.environ | {"PYTHONPATH": str(HOUSE), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=env,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(not LARGE, reason="each starts a process with torch; test_apart.py has one of each kind")
def test_code_that_ends_the_process_was_not_checked(tried, tmp_path) -> None:
    for name, statement in {**PROCESS_ENDS, "sys.exit(0)": ENDS["sys.exit(0)"]}.items():
        for place in ("INIT", "FORWARD", "BACKWARD"):
            (tmp_path / "layer.py").write_text(source(place, statement))
            words = ["check", "layer.py:Square", "--input", "2x3", "--dtype", "float64", "--budget", "0.01"]
            done = process(tmp_path, *words)
            judged(tried, f"{name} in {place}", done.returncode, done.stdout.decode(), done.stderr.decode())

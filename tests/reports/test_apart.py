"""``gradmirror check`` in a process of its own: however that ends, what was not checked is not right."""

import json
import subprocess
import sys
import time
from argparse import Namespace
from types import SimpleNamespace

import pytest

from reports.errors import InternalError, UnusableError
from reports.runner import apart
from reports.runner.apart import Answer, answer

# serving.py around an answer that is made at once: torch is not imported.
AROUND = """
import json, os, sys, threading, time, types
sys.path[:] = json.loads(sys.argv.pop())
from reports.runner.apart import Answer
made = sys.modules["reports.runner.user_code"] = types.ModuleType("user_code")
def answer(options):
    {}
    return Answer(0, options.mine, "")
made.answer = answer
from reports.runner.serving import serve
serve()
"""


@pytest.fixture
def ask(monkeypatch):
    """The answer of a process in which the user's code is these statements."""

    def of(statements: str, time_limit: float = 60.0, memory_limit: float | None = None) -> Answer:
        monkeypatch.setattr(apart, "_SERVE", AROUND.format(statements))
        nothing = {"against": None, "case": None, "json": None}
        limits = {"time_limit": time_limit, "memory_limit": memory_limit}
        return answer(Namespace(mine="a.py:A", run=print, **limits, **nothing))

    return of


def test_an_answer_comes_back(ask):
    assert ask("pass") == Answer(0, "a.py:A", "")


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ("os._exit(0)", "ended itself with exit code 0, as os._exit does; nothing was checked"),
        ("threading.Thread(target=lambda: os._exit(3)).start(); time.sleep(9)", "with exit code 3"),
        ("os.abort()", "was ended by SIGABRT"),
        ("os.kill(os.getpid(), 9)", "was killed: it takes too much memory, or more than 60 s"),
        ("os.closerange(3, 99); os._exit(0)", "nothing was checked"),
    ],
)
def test_code_that_ends_the_process_was_not_checked(ask, statements, why):
    with pytest.raises(UnusableError, match=why):
        ask(statements)


def test_code_that_does_not_end_is_ended_with_what_it_started(ask, tmp_path):
    file = tmp_path / "still"
    fork = f"os.fork() or [(time.sleep(0.05), open({str(file)!r}, 'w').write('a')) for _ in range(100)]; "
    with pytest.raises(UnusableError, match=r"the check is not done after 0\.3 s; --time-limit SECONDS"):
        ask(fork + "\n    while True: pass", 0.3)
    file.unlink(missing_ok=True)
    time.sleep(0.15)
    assert not file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold to a limit of memory")
def test_code_that_takes_all_memory_is_refused(ask):
    with pytest.raises(UnusableError, match=r"not enough memory \(--memory-limit GIB\)"):
        ask("x = [bytearray(2**28) for _ in range(8)]", memory_limit=1.0)
    assert ask("x = bytearray(2**28)", memory_limit=1.0)


def test_code_that_does_not_end_and_lets_nothing_else_run_is_ended(ask, monkeypatch):
    monkeypatch.setattr(apart, "_MORE", 0.4)
    with pytest.raises(UnusableError, match=r"was killed: .* or more than 0\.1 s \(--time-limit\)"):
        ask("threading.Timer = threading.Thread\n    sum(range(10**12))", 0.1)


def test_code_that_forks_gives_one_answer_and_does_not_wait_for_the_other(ask):
    begin = time.perf_counter()
    assert ask("os.fork()") == Answer(0, "a.py:A", "")
    assert ask("os.fork() or time.sleep(60)") == Answer(0, "a.py:A", "")
    assert time.perf_counter() - begin < 30


def test_what_code_prints_and_reads_is_kept_away(ask, capfd):
    printing = "print('mine'); os.write(1, b'mine too'); os.system('echo hers'); sys.stdout.flush()"
    assert ask(f"{printing}; assert not sys.stdin.read()") == Answer(0, "a.py:A", "")
    out, err = capfd.readouterr()
    assert out == ""
    assert all(each in err for each in ("mine", "mine too", "hers"))


def test_an_error_of_ours_and_a_refusal_come_back_as_they_are(ask):
    with pytest.raises(InternalError, match="KeyError: 'ours'"):
        ask("raise KeyError('ours')")
    with pytest.raises(UnusableError, match=r"^input: none$"):
        ask("from reports.errors import UnusableError; raise UnusableError('input: none')")


def apart_still_runs(pid: str) -> bool:
    """Whether there is this process, and it is not only waiting for somebody to take note of its end."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout.strip()
    return bool(shown) and not shown.startswith("Z")


def test_the_process_ends_with_the_one_that_asked(tmp_path):
    """Killed, it cannot end it; the process notices."""
    server = AROUND.format(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    asking = (
        "from argparse import Namespace; from reports.runner import apart; import sys; "
        "apart._SERVE = sys.argv.pop(); "
        "apart.answer(Namespace(mine='a', against=None, case=None, time_limit=60.0, memory_limit=None))"
    )
    process = subprocess.Popen([sys.executable, "-c", asking, server])
    end = time.monotonic() + 30
    while not (tmp_path / "pid").exists() or not (pid := (tmp_path / "pid").read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    process.wait()
    while apart_still_runs(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.long
def test_the_command_as_it_is_typed(tmp_path):
    """The whole of it once: right, then with an exit in the backward."""
    text = (
        "import os\nclass Square:\n    def forward(self, x):\n        print('here')\n        self.x = x\n"
        "        return x * x\n    def backward(self, dy):\n        END\n        return 2 * self.x * dy\n"
    )
    command = [sys.executable, "-c", "import sys; from reports.cli import main; sys.exit(main())", "check"]
    found = SimpleNamespace()
    for name, end in (("right", "pass"), ("ended", "os._exit(0)")):
        (tmp_path / f"{name}.py").write_text(text.replace("END", end))
        words = [f"{name}.py:Square", "--input", "4x5", "--dtype", "float64", "--json", "-"]
        done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        setattr(found, name, done)
    assert found.right.returncode == 0
    assert json.loads(found.right.stdout)["ok"] is True
    assert "here\n" in found.right.stderr
    assert (found.ended.returncode, found.ended.stdout) == (2, "")
    assert "the process of your code ended itself with exit code 0" in found.ended.stderr

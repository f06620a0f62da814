"""``make mutants``: which changes of scratch/ would no test see?

mutmut makes some 17,000 mutants of scratch/, each with one change: a plus for a minus, a < for a <=, a 2 for
a 1, an argument left out. The tests are run against each, as far as they touch its function, until one fails.
All of them would take days, so a random sample is tried; the share of them that is killed holds for all of
them, give or take the interval that is printed. Each survivor is shown: it needs a test, or a reason. The
reasons stand in tests/mutants.toml, and what has one is counted apart.

Each outcome is kept in reports/out/mutants.jsonl at once, so an interrupted run is gone on with.

Lines that raise are left out: there mutmut changes the words of messages.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# Some only for the forks, which have what is loaded here.
import hypothesis  # noqa: F401
import pandas  # noqa: F401
import pytest
import sklearn.datasets  # noqa: F401
import torch  # noqa: F401
from scipy.stats import binomtest
from tqdm import tqdm

MUTMUT = [sys.executable, "-m", "mutmut"]
SECONDS = 300  # of the processor for a test run; what takes longer goes round in circles
OUTCOMES = Path("reports/out/mutants.jsonl").resolve()
REASONS = Path(__file__).with_name("mutants.toml")


# ---- one mutant


class Trial(NamedTuple):
    """A mutant, and the tests that touch its function, the quick ones first."""

    name: str
    tests: list[str]


def outcome(trial: Trial) -> dict[str, Any]:
    """Which test fails while this mutant is switched on, if any does."""
    for start in range(0, len(trial.tests), 200):
        if by := _failure(trial.tests[start : start + 200], trial.name):
            return {"mutant": trial.name, "killed": True, "by": by}
    return {"mutant": trial.name, "killed": False}


class _FirstFailure:
    """A plugin of pytest that tells the name of the test."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self.pipe, f"{report.nodeid}\n".encode())


def _failure(tests: list[str], name: str) -> str:
    """The first test that fails, or how else the run went wrong; "" if it did not."""
    reading, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ["MUTANT_UNDER_TEST"] = name
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.alarm(10 * SECONDS)
        options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore"]
        os._exit(pytest.main([*options, *tests], plugins=[_FirstFailure(pipe)]))
    os.close(pipe)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(reading) as lines:
        return (
            (lines.readline().strip() or f"exit code {os.waitstatus_to_exitcode(status)}") if status else ""
        )


def reason(name: str, diff: str, reasons: dict[str, dict[str, str]]) -> str | None:
    """Why no test can kill it, if that is known: by its function and the lines that it has in other words."""
    lines = [line for line in diff.splitlines() if not line.startswith(("+++", "---"))]
    # Where nothing is put in, what is taken out.
    changed = [line[1:].strip() for line in lines if line.startswith("+")] or [
        line.strip() for line in lines if line.startswith("-")
    ]
    return reasons.get(name.rpartition("__mutmut_")[0], {}).get(" ".join(changed))


# ---- the outcomes so far


class Kept:
    """The sample of a run and the outcomes so far, a line of JSON each.

    Args:
        of: seed and size of the sample, and what it was drawn from.
        killed: by the mutants' names.
    """

    def __init__(self, path: Path, of: dict[str, Any]) -> None:
        self.path, self.of, self.killed = path, of, dict[str, bool]()

    @classmethod
    def start(cls, path: Path, of: dict[str, Any]) -> "Kept":
        """A new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(of) + "\n")
        return cls(path, of)

    @classmethod
    def read(cls, path: Path, code: str) -> "Kept":
        """The outcomes kept in a file.

        Raises:
            SystemExit: there is no file, or it is about other code.
        """
        if not path.exists():
            raise SystemExit(f"--resume: there is no {path}: no run was begun")
        whole, _, half = path.read_text().rpartition("\n")
        if half:  # of an interrupted run
            path.write_text(whole + "\n")
        first, *lines = whole.splitlines()
        kept = cls(path, json.loads(first))
        if kept.of["code"] != code:
            raise SystemExit(f"--resume: scratch/ has changed since {path} was begun; start anew")
        kept.killed = {line["mutant"]: line["killed"] for line in map(json.loads, lines)}
        return kept

    def add(self, found: dict[str, Any]) -> None:
        """One more outcome; the last of a mutant counts."""
        self.killed[found["mutant"]] = found["killed"]
        with self.path.open("a") as file:
            file.write(json.dumps(found) + "\n")


def _code() -> str:
    sources = sorted(Path("scratch").rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


# ---- the run


def main() -> int:
    """Try a sample; print the share of the killed and every survivor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many mutants to try (300)")
    parser.add_argument("--seed", type=int, help="of the sample (another one each time)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--resume", action="store_true", help="go on with the last sample")
    parser.add_argument("--again", action="store_true", help="and try its survivors again")
    options = parser.parse_args()

    code = _code()
    if options.resume or options.again:
        kept = Kept.read(OUTCOMES, code)
    else:
        seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
        kept = Kept.start(OUTCOMES, {"seed": seed, "sample": options.sample, "code": code})
    # One mutant, so that all are made and it is known which test touches what.
    subprocess.run([*MUTMUT, "run", "--max-children", "1", "scratch.nn.linear.xǁIdentity*"], check=True)
    names = sorted(
        name
        for path in Path("mutants/scratch").rglob("*.meta")
        for name in json.loads(path.read_text())["exit_code_by_key"]
    )
    sample = random.Random(kept.of["seed"]).sample(names, min(kept.of["sample"], len(names)))
    explained = _explained(sample)
    settled = {name for name, killed in kept.killed.items() if killed or not options.again} | {*explained}
    print(
        f"A sample of {len(sample)} by seed {kept.of['seed']}; {len(settled & {*sample})} need no try.",
        flush=True,
    )
    os.chdir("mutants")
    sys.path.insert(0, os.getcwd())
    for found in _tried([name for name in sample if name not in settled], options.jobs):
        kept.add(found)
        if not found["killed"]:
            tqdm.write(f"{found['mutant']} survives")
    os.chdir("..")
    killed = [name for name in sample if kept.killed.get(name)]
    _tell(sample, {*killed}, explained, len(names))
    return 0


def _shown(name: str) -> str:
    """The mutant as a diff."""
    return subprocess.run([*MUTMUT, "show", name], check=True, capture_output=True, text=True).stdout


def _explained(names: Iterable[str]) -> dict[str, str]:
    """Why no test can kill them: of those for which that is known."""
    reasons = tomllib.loads(REASONS.read_text())
    known = [name for name in names if name.rpartition("__mutmut_")[0] in reasons]
    found = {name: reason(name, _shown(name), reasons) for name in known}
    return {name: why for name, why in found.items() if why is not None}


def _tried(names: Iterable[str], jobs: int) -> Iterator[dict[str, Any]]:
    """The outcomes, as they are there."""
    known = json.loads(Path("mutmut-stats.json").read_text())
    seconds, touching = known["duration_by_test"], known["tests_by_mangled_function_name"]
    trials = [
        Trial(name, sorted(touching.get(name.rpartition("__mutmut_")[0], []), key=lambda test: seconds[test]))
        for name in names
    ]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from tqdm(pool.imap_unordered(outcome, trials), "mutants", len(trials), unit="")


def _tell(sample: list[str], killed: set[str], explained: dict[str, str], total: int) -> None:
    """Every one that was not killed, with its reason if there is one, and the shares."""
    left = [name for name in sample if name not in killed]
    for name in left:
        why = explained.get(name)
        print(_shown(name), f"Explained: {why}." if why else "Not explained.", sep="", end="\n\n")
    reasons = sum(name in explained for name in left)
    for outcome, count in (("killed", len(killed)), ("killed or explained", len(killed) + reasons)):
        low, high = binomtest(count, len(sample)).proportion_ci(method="wilson")
        share = f"{count / len(sample):.1%} (95% interval {low:.1%} to {high:.1%} of all {total:,})"
        print(f"{outcome}: {share}")
    print(f"killed {len(killed)}, explained {reasons}, of {len(sample)}")


if __name__ == "__main__":
    sys.exit(main())

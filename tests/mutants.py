"""``make mutants``: which changes of scratch/ would no test see?

mutmut makes some 17,000 mutants of scratch/, each with one change: a plus for a minus, a < for a <=, a 2 for
a 1, an argument left out. The tests are run against each, as far as they touch its function, until one fails.
All of them would take days, so a random sample is tried; the share of them that is killed holds for all of
them, give or take the interval that is printed. Each survivor is shown: it wants a test, or a reason.

Lines that raise are left out: there mutmut changes the words of messages.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401 (in the parent, so that each fork has it)
from scipy.stats import binomtest
from tqdm import tqdm

MUTMUT = [sys.executable, "-m", "mutmut"]
SECONDS = 300  # for a test run; what takes longer goes round in circles


def killed(tests: list[str], name: str) -> bool:
    """Whether a test fails while this mutant is switched on; the quick ones are asked first."""
    return any(_fails(tests[start : start + 200], name) for start in range(0, len(tests), 200))


def _fails(tests: list[str], name: str) -> bool:
    child = os.fork()
    if child == 0:
        os.environ["MUTANT_UNDER_TEST"] = name
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        signal.alarm(SECONDS)
        os._exit(pytest.main(["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore", *tests]))
    return os.waitpid(child, 0)[1] != 0


def main() -> int:
    """Try a sample; print the share of the killed and every survivor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many mutants to try (300)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    options = parser.parse_args()

    # One mutant, so that all are made and it is known which test touches what.
    subprocess.run([*MUTMUT, "run", "--max-children", "1", "scratch.nn.linear.xǁIdentity*"], check=True)
    os.chdir("mutants")
    sys.path.insert(0, os.getcwd())
    names = sorted(
        name
        for path in Path("scratch").rglob("*.meta")
        for name in json.loads(path.read_text())["exit_code_by_key"]
    )
    known = json.loads(Path("mutmut-stats.json").read_text())
    seconds, touching = known["duration_by_test"], known["tests_by_mangled_function_name"]
    sample = random.Random(options.seed).sample(names, min(options.sample, len(names)))
    survivors = []
    for name in tqdm(sample, "mutants", unit=""):
        tests = sorted(touching.get(name.rpartition("__mutmut_")[0], []), key=lambda test: seconds[test])
        if not killed(tests, name):
            survivors.append(name)
            print(name, f"survives {len(tests)} tests", flush=True)

    os.chdir("..")
    for name in survivors:
        subprocess.run([*MUTMUT, "show", name], check=True)
    count = len(sample) - len(survivors)
    low, high = binomtest(count, len(sample)).proportion_ci(method="wilson")
    print(
        f"{count} of {len(sample)} mutants killed, {count / len(sample):.1%} "
        f"(95% interval {low:.1%} to {high:.1%} of all {len(names):,})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

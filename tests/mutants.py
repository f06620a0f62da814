"""``make mutants``: which changes of scratch/ would no test see?

mutmut makes some 17,000 mutants of scratch/, each with one change: a plus for a minus, a < for a <=, a 2 for
a 1, an argument left out. The tests are run against each, as far as they touch its function, until one fails.
All of them would take days, so a random sample is tried; the share of them that is killed holds for all of
them, give or take the interval that is printed. Each survivor is shown: it wants a test, or a reason.

Lines that raise are left out: there mutmut changes the words of messages.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

from scipy.stats import binomtest

MUTMUT = [sys.executable, "-m", "mutmut"]
SURVIVED = (0, 33)  # 33: no test touches it


def exit_codes() -> dict[str, int | None]:
    """What the tests said of each mutant, None if not asked yet."""
    found: dict[str, int | None] = {}
    for path in sorted(Path("mutants/scratch").rglob("*.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def main() -> int:
    """Try a sample; print the share of the killed and every survivor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="how many mutants to try (300)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    options = parser.parse_args()

    # One mutant, so that all are made and the tests have been timed.
    first = [*MUTMUT, "run", "--max-children", str(options.jobs)]
    subprocess.run([*first, "scratch.nn.linear.xǁIdentity*"], check=True)
    names = sorted(exit_codes())
    sample = random.Random(options.seed).sample(names, min(options.sample, len(names)))
    subprocess.run([*first, *sample], check=True)

    codes = exit_codes()
    tried = [name for name in sample if codes[name] is not None]
    survivors = [name for name in tried if codes[name] in SURVIVED]
    for name in survivors:
        subprocess.run([*MUTMUT, "show", name], check=True)
    killed = len(tried) - len(survivors)
    low, high = binomtest(killed, len(tried)).proportion_ci(method="wilson")
    print(
        f"{killed} of {len(tried)} mutants killed, {killed / len(tried):.1%} "
        f"(95% interval {low:.1%} to {high:.1%} of all {len(names):,})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m reports`` is ``gradmirror report``."""

import sys

from reports.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))

"""`python -m rlxc`: the command line."""

import sys

from rlxc.cli import main

if __name__ == "__main__":
    sys.exit(main())

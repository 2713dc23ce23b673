"""`benchmarks` is a folder of the repository, not of the package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

"""The files that round trips, layout and mutations are tried on."""

from pathlib import Path

PATHS = sorted((Path(__file__).parent.parent / "rlx" / "corpus").glob("*.rlx"))
CORPUS = {path.stem: path.read_text(encoding="utf-8") for path in PATHS}

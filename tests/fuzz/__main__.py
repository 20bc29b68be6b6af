"""Fuzzes what parses: ``python -m tests.fuzz TARGET|all --seconds N``; one input again: ``--input FILE``.

The fuzzer is atheris, guided by what code each input reaches. ``make fuzz`` installs it and runs all targets.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

CRASHES = Path("build/fuzz")
SIZE_LIMIT = 64 * 1024  # bytes of an input
MEMORY_MB = 1024  # of which the fuzzer itself takes some 200
SLOW_S = 5  # an input that takes longer is a crash


def main() -> int:
    """Returns 0 where nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", help="a name in tests/fuzz/targets.py, or all")
    parser.add_argument("--seconds", type=int, default=10, help="for each target (10)")
    parser.add_argument("--input", type=Path, help="runs the target once, with the content of this file")
    options = parser.parse_args()
    if options.target == "all":
        return _all(options.seconds)
    if options.input:
        _targets()[options.target].run(options.input.read_bytes())
        return 0
    return _fuzz(options.target, options.seconds)


def _targets() -> Mapping[str, Target]:
    """Imported late, so that the fuzzer can count the branches of what they import."""
    found: Mapping[str, Target] = importlib.import_module("tests.fuzz.targets").TARGETS
    return found


def _all(seconds: int) -> int:
    """Each target in a process of its own, as the fuzzer ends its process."""
    failed = []
    for name in _targets():
        command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        last = [line for line in done.stderr.splitlines() if line.startswith(("#", "Done"))][-1:]
        print(f"{name}: {'a defect' if done.returncode else 'nothing found'}. {''.join(last)}", flush=True)
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n")
            failed.append(name)
    if failed:
        print(f"Defects in {', '.join(failed)}; the inputs are in {CRASHES}/")
    return 1 if failed else 0


def _fuzz(name: str, seconds: int) -> int:
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed; make fuzz installs it")
    with atheris.instrument_imports(include=["postbeat"]):
        target = _targets()[name]
    CRASHES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", f"-max_len={SIZE_LIMIT}", f"-rss_limit_mb={MEMORY_MB}"]
        places = [f"-timeout={SLOW_S}", f"-artifact_prefix={CRASHES}/{name}-", corpus]
        atheris.Setup([sys.argv[0], *limits, *places], target.run)
        atheris.Fuzz()  # ends the process, with another status than 0 where it found something
    return 0


if __name__ == "__main__":
    sys.exit(main())

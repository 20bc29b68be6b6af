"""Checks a wheel: exactly the three packages, with all of their data files, and nothing of the tests."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

PACKAGES = {"postbeat", "workers", "beat_schedule"}
DATA = {
    str(path)
    for path in Path("postbeat").rglob("*")
    if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__"
}


def faults(wheel: Path) -> list[str]:
    """What is wrong with the wheel; nothing, if it is right."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        scripts = next((name for name in names if name.endswith("entry_points.txt")), None)
        entries = archive.read(scripts).decode() if scripts else ""
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    found = [f"{top} does not belong into the wheel" for top in sorted(tops - PACKAGES)]
    found += [f"the package {top} is missing" for top in sorted(PACKAGES - tops)]
    found += [f"the file {name} is missing" for name in sorted(DATA - names)]
    sources = {str(path) for package in PACKAGES for path in Path(package).rglob("*.py")}
    found += [f"the file {name} is missing" for name in sorted(sources - names)]
    if "postbeat = postbeat.cli:main" not in entries:
        found.append("the command postbeat is missing")
    return found


def main(arguments: list[str]) -> int:
    """Prints what is wrong with each wheel."""
    wrong = 0
    for argument in arguments:
        for fault in faults(Path(argument)):
            print(f"{argument}: {fault}", file=sys.stderr)
            wrong += 1
        print(f"{argument}: {wrong or 'no'} faults")
    return 1 if wrong or not arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

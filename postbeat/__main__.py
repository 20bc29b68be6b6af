"""``python -m postbeat``: the same as the command ``postbeat``."""

from __future__ import annotations

from postbeat.cli import main

if __name__ == "__main__":
    main()

"""``python -m beat_schedule ...``: Celery's own command for our app, in any current folder."""

from __future__ import annotations

import sys

from beat_schedule.app import app

CANNOT_START = 2  # the exit code, as of Postbeat's other commands

if __name__ == "__main__":
    try:
        app.start(sys.argv[1:])
    except SystemExit as error:
        if not isinstance(error.code, str):
            raise
        print(error.code, file=sys.stderr)
        sys.exit(CANNOT_START)

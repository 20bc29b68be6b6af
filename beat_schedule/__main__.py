"""``python -m beat_schedule ...``: Celery's own command for our app, in any current folder."""

from __future__ import annotations

import sys

from beat_schedule.app import app

if __name__ == "__main__":
    app.start(sys.argv[1:])

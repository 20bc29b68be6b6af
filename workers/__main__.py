"""``python -m workers ...``: Celery's own command for our app, whatever lies in the current folder."""

from __future__ import annotations

import sys

from workers.app import app

if __name__ == "__main__":
    app.start(sys.argv[1:])

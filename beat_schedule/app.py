"""The Celery application for beat: ``celery -A beat_schedule.app beat``, or ``postbeat beat PROFILE``."""

from __future__ import annotations

from workers.app import app

__all__ = ["app"]

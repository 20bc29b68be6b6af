"""Postbeat measures whether mail really works. This package is the core: it never imports Celery."""

"""Metrics for Prometheus: one process serves those of all regions, as Redis knows them."""

from __future__ import annotations

from postbeat.metrics.exposition import Exposition

__all__ = ["Exposition"]

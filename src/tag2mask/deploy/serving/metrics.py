"""Metrics of a server for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from tag2mask.deploy.serving.pool import BoundedPool

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counts answers by status and times the successful ones; a registry of its own for each server."""

    def __init__(self, pool: BoundedPool):
        self.registry = CollectorRegistry()
        self._answers = Counter("tag2mask_answers", "Answers to /v1/mask.", ["status"], registry=self.registry)
        self._seconds = Histogram(
            "tag2mask_seconds",
            "From the request to the mask, upload included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        pending = Gauge("tag2mask_pending", "Images being segmented or waiting.", registry=self.registry)
        pending.set_function(lambda: pool.pending)
        capacity = Gauge("tag2mask_capacity", "Images that may be pending at once.", registry=self.registry)
        capacity.set(pool.capacity)
        self._closed = Counter(
            "tag2mask_closed_connections", "Connections that the server ended.", ["reason"], registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def count(self, status: int, seconds: float | None = None) -> None:
        """Count an answer; `seconds` of a successful one."""
        self._answers.labels(str(status)).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def count_closed(self, reason: str) -> None:
        """Count a connection that the server ended."""
        self._closed.labels(reason).inc()

"""The Celery application: ``celery -A workers.app worker``, or ``postbeat worker --region R``."""

from __future__ import annotations

import logging

from celery import Celery
from celery.signals import after_setup_logger
from kombu import Queue

from postbeat import queues, settings


def make_app(config: settings.Settings) -> Celery:
    """The application for these settings: Redis as broker, no result backend, the asyncio pool.

    Raises:
        SettingsError: Redis is not named.
    """
    names = queues.of_region(config.region) if config.region else ()
    app = Celery("postbeat", include=["workers.tasks"])
    app.conf.update(
        broker_url=broker_url(config.needed_redis_url()),
        # At most once: messages are not copied to an unacknowledged set; what is lost is seen as silence.
        broker_transport_options={"ack_emulation": False, "socket_keepalive": True},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_ignore_result=True,
        task_default_queue="postbeat",
        task_queues=[Queue(name, routing_key=name) for name in names] or None,
        task_serializer="json",
        accept_content=["json"],
        worker_pool="workers.pool:TaskPool",
        worker_consumer="workers.consumer:Consumer",
        worker_concurrency=config.concurrency,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_send_task_events=config.task_events,
        worker_hijack_root_logger=True,
        worker_max_tasks_per_child=None,
        beat_scheduler="beat_schedule.scheduler:GridScheduler",
        postbeat_grace_s=config.grace,
    )
    return app


def broker_url(redis_url: str) -> str:
    """The name that Celery has for a Redis on a Unix socket; other URLs are the same."""
    scheme, separator, rest = redis_url.partition("://")
    return f"redis+socket://{rest}" if scheme == "unix" and separator else redis_url


@after_setup_logger.connect
def _say_less(loglevel: int = logging.INFO, **_details: object) -> None:
    """Keeps Celery's two lines for every task out of the log, short of DEBUG: a tenth of a poll's CPU."""
    if loglevel > logging.DEBUG:
        for name in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(name).setLevel(logging.WARNING)


app = make_app(settings.load())

"""``postbeat metrics``: serves the metrics of a site to Prometheus."""

from __future__ import annotations

import gzip
import logging
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import click
from redis.exceptions import RedisError

from postbeat import settings
from postbeat.cli.common import errors_exit, redis_option, say
from postbeat.metrics import Exposition
from postbeat.store.connecting import trouble_text

log = logging.getLogger(__name__)

PATIENCE_S = 10.0  # for what a client sends and takes
AT_ONCE = 16  # connections; a further one is closed, and has to come again
WAITING = 128  # connections that are not looked at yet; the kernel drops further ones without a word
GZIP_LEVEL = 1  # a tenth of the size; more costs more than it saves


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = WAITING

    def __init__(self, address: tuple[str, int], exposition: Exposition) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)
        self.exposition = exposition
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def verify_request(self, request: object, client_address: object) -> bool:
        return self._places.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        log.warning("a request was not answered: %s", sys.exc_info()[1])


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_S
    server_version = "postbeat"
    sys_version = ""
    server: _Server

    _PAGE: ClassVar[bytes] = b'<!doctype html><title>Postbeat</title><a href="/metrics">Metrics</a>\n'

    def do_GET(self) -> None:
        """Answers ``/metrics``, and ``/`` for people who look."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(200, self._PAGE, "text/html; charset=utf-8")
        elif path == "/metrics":
            self._metrics()
        else:
            self._answer(404, b"Not found; metrics are at /metrics\n")

    def _metrics(self) -> None:
        try:
            body, content_type = self.server.exposition.render(self.headers.get("Accept", ""))
        except RedisError as error:
            log.warning("%s", trouble_text(error))
            self._answer(503, b"Redis does not answer\n")
        except Exception:  # whatever it is, the scraper hears of it
            log.exception("the metrics cannot be made")
            self._answer(500, b"The metrics cannot be made; the log says why\n")
        else:
            self._answer(200, body, content_type)

    def _answer(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of each request."""


@click.command()
@click.option("--once", is_flag=True, help="Print the metrics and end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9795, show_default=True, help="The port; 0 is any."
)
@redis_option
@errors_exit()
def metrics(once: bool, host: str, port: int, redis_url: str | None) -> None:
    """Serves the metrics of all regions at /metrics, for Prometheus.

    They are read from Redis when they are asked for, so that one process does for the whole site. Formats:
    text, OpenMetrics (with the poll's id as exemplar) and protobuf (with native histograms). Anybody who
    reaches the port can read them; they hold names of elements and regions, and nothing secret.
    """
    exposition = Exposition(settings.load(redis_url=redis_url).needed_redis_url())
    try:
        if once:
            sys.stdout.buffer.write(exposition.render()[0])
        else:
            _serve(host, port, exposition)
    finally:
        exposition.close()


def _serve(host: str, port: int, exposition: Exposition) -> None:
    try:
        server = _Server((host, port), exposition)
    except OSError as error:
        raise settings.SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shown = f"[{host}]" if ":" in host else host
    with server:
        say(f"Metrics are at http://{shown}:{server.server_address[1]}/metrics")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return

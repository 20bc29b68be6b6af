"""The page as an ASGI application."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from postbeat.metrics import Exposition
from postbeat.web import openapi
from postbeat.web.api import OPERATIONS
from postbeat.web.asking import endpoint
from postbeat.web.auth import Gate
from postbeat.web.forms import Forms
from postbeat.web.guard import Guard, is_for_programs
from postbeat.web.limits import Failures
from postbeat.web.nowprobe import NowProber
from postbeat.web.pages import Pages, is_fragment
from postbeat.web.problems import ProblemError
from postbeat.web.rendering import Renderer
from postbeat.web.settings import WebSettings
from postbeat.web.site import Site
from postbeat.web.stream import Broadcast, Listener, entry_number, missed
from postbeat.web.users import Users
from postbeat.web.waiting import Stores

STATIC = Path(__file__).parent / "static"
Endpoint = Callable[[Request], Awaitable[Response]]
# Not of pages: what a page echoes, next to its secret token, would let that be guessed from lengths (BREACH).
_COMPRESSED = [Middleware(GZipMiddleware)]
_DAY = {"cache-control": "public, max-age=86400"}


def make_app(settings: WebSettings) -> Starlette:
    """The application.

    Raises:
        SettingsError: it would be open to everybody, or the file of users cannot be used.
    """
    settings.check()
    users = Users(settings.users)
    site, stores, gate = Site(settings.redis_url), Stores(), Gate(settings, users)
    prober = NowProber(settings.profile)
    broadcast, exposition = Broadcast(settings.redis_url), Exposition(settings.redis_url)
    render = Renderer(settings, gate, prober)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(broadcast.start)
        try:
            yield
        finally:
            await run_in_threadpool(broadcast.stop)
            exposition.close()
            site.close()

    async def metrics(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        text, media_type = await stores.ask(lambda: exposition.render(accept))
        return Response(text, headers={"content-type": media_type})

    async def refused(request: Request, error: Exception) -> Response:
        """As a program, a script of ours or a browser takes it."""
        problem = _problem(error)
        if is_for_programs(request.url.path):
            return problem.response()
        if is_fragment(request):
            detail = f"{problem.detail[:1].upper()}{problem.detail[1:]}."
            return PlainTextResponse(detail, problem.status, problem.headers)
        return render.page(
            request, "problem.html", status=problem.status, headers=problem.headers, problem=problem
        )

    routes: list[BaseRoute] = [
        Route("/api/v1/openapi.json", _document()),
        *(
            Route(openapi.BASE + one.path, endpoint(one, site, stores, gate, prober), methods=[one.method])
            for one in OPERATIONS
        ),
        Route("/metrics", metrics),
        Route("/events/stream", _stream(site, stores, broadcast)),
        *Pages(settings, site, stores, render).routes(),
        *Forms(site, stores, gate, users, prober, render, Failures()).routes(),
        Route("/static/plotly.min.js", _plotly, middleware=_COMPRESSED),
        Mount("/static", StaticFiles(directory=STATIC), name="static", middleware=_COMPRESSED),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, gate=gate, refuse=refused)],
        exception_handlers={ProblemError: refused, HTTPException: refused, RedisError: refused},
    )


def _problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        detail = {404: "there is nothing here", 405: "this cannot be done here"}.get(error.status_code, "")
        return ProblemError(error.status_code, detail or error.detail, headers=dict(error.headers or {}))
    if isinstance(error, RedisError):
        return ProblemError(503, "Redis does not answer", headers={"Retry-After": "5"})
    return ProblemError(500, "something is wrong with us; the log says what")


def _document() -> Endpoint:
    described = openapi.document(OPERATIONS)

    async def openapi_json(_request: Request) -> Response:
        return JSONResponse(described)

    return openapi_json


async def _plotly(_request: Request) -> Response:
    found = importlib.util.find_spec("plotly")  # finds it and does not import it: that takes a second
    if found is None or not found.submodule_search_locations:
        raise ProblemError(404, "plotly is not installed")
    script = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return FileResponse(script, media_type="text/javascript", headers=_DAY)


def _stream(site: Site, stores: Stores, broadcast: Broadcast) -> Endpoint:
    async def stream(request: Request) -> Response:
        element = request.query_params.get("element", "")[:64]
        after = request.headers.get("last-event-id", "")
        past: list[str] = []
        if after:
            try:
                entry_number(after)
            except ValueError as error:
                raise ProblemError(400, f"header Last-Event-ID: {error}") from error
        listener = Listener(element)
        if not broadcast.enter(listener):
            raise ProblemError(503, "too many look at the stream", headers={"Retry-After": "30"})
        try:
            if after:
                past = await stores.ask(lambda: missed(site.view, after, element))
        except BaseException:
            broadcast.leave(listener)
            raise

        async def texts() -> AsyncIterator[str]:
            try:
                yield "retry: 3000\n\n"
                for text in past:
                    yield text
                async for text in listener.messages():
                    yield text
            finally:
                broadcast.leave(listener)

        return StreamingResponse(texts(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    return stream

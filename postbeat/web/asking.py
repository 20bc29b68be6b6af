"""From requests to checked parameters, and from answers to JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from postbeat.web.api import Ask, Operation
from postbeat.web.auth import CSRF_HEADER, Gate, Identity
from postbeat.web.nowprobe import NowProber
from postbeat.web.params import Params
from postbeat.web.problems import ProblemError, invalid
from postbeat.web.site import Site
from postbeat.web.waiting import Stores

P = TypeVar("P", bound=Params)
_MOST_VALUES = 100


def query(request: Request, model: type[P], *, lenient: bool = False) -> P:
    """The checked parameters of a query. ``lenient`` passes over what is not known or blank, as a page does.

    Raises:
        ProblemError: what was expected.
    """
    lists = {
        info.alias or name
        for name, info in model.model_fields.items()
        if str(info.annotation).startswith("list")
    }
    known = {info.alias or name for name, info in model.model_fields.items()}
    values: dict[str, Any] = {}
    given = request.query_params.multi_items()
    items = [(name, value) for name, value in given if value.strip() or not lenient]
    if len(items) > _MOST_VALUES:
        raise ProblemError(400, f"query: expected at most {_MOST_VALUES} values")
    for name, value in items:
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise ProblemError(400, f"query {name[:64]}: expected once")
        elif name in known or not lenient:
            values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query") from error


async def body(request: Request, model: type[P]) -> P:
    """The checked JSON document of a request.

    Raises:
        ProblemError: what was expected.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ProblemError(415, "body: expected application/json")
    try:
        raw = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "body: expected JSON") from error
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, "body") from error


def endpoint(
    one: Operation, site: Site, stores: Stores, gate: Gate, prober: NowProber
) -> Callable[[Request], Awaitable[Response]]:
    """The Starlette endpoint of an operation. It blocks, so it runs in a thread."""
    adapter: TypeAdapter[Any] = TypeAdapter(one.answer)
    in_thread = stores.ask if one.asks_stores else run_in_threadpool

    async def answer(request: Request) -> Response:
        identity: Identity = request.state.identity
        if one.changes:
            permit(request, identity, gate, request.headers.get(CSRF_HEADER, ""))
        asked = Ask(
            site,
            prober,
            identity,
            request.path_params,
            query(request, one.params or Params),
            await body(request, one.body) if one.body else None,
        )
        text = await in_thread(lambda: adapter.dump_json(one.run(asked), by_alias=True))
        return Response(text, one.status, media_type="application/json")

    answer.__name__ = one.run.__name__
    return answer


def permit(request: Request, identity: Identity, gate: Gate, csrf: str) -> None:
    """Refuses what only operators may do, and what another page makes their browser send.

    Raises:
        ProblemError: why it is refused.
    """
    if not identity.is_operator:
        raise ProblemError(403, "only operators may do this")
    if not identity.by_token and not gate.csrf_is_right(request, csrf):
        raise ProblemError(403, "the page is too old, or it is not one of ours: load it anew and try again")

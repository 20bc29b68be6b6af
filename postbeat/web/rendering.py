"""Templates to pages. Every text is escaped; no page has a script or a style in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from postbeat.web import look
from postbeat.web.auth import Gate, Identity, with_csrf
from postbeat.web.nowprobe import NowProber
from postbeat.web.settings import WebSettings

NAVIGATION = (
    ("/", "Overview"),
    ("/events", "Events"),
    ("/mailboxes", "Mailboxes"),
    ("/regions", "Regions"),
    ("/maintenance", "Maintenance"),
)


class Renderer:
    """Makes pages from templates, with what all of them have: who looks, and the CSRF token."""

    def __init__(self, settings: WebSettings, gate: Gate, prober: NowProber) -> None:
        self._settings = settings
        self._gate = gate
        self._prober = prober
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for name in ("sign", "word", "duration", "age", "moment", "day", "machine_time", "percent", "size"):
            self._templates.filters[name] = getattr(look, name)
        self._templates.globals["query"] = query_text

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,  # noqa: ANN401
    ) -> Response:
        """The page. Its session keeps the CSRF token that its forms send back."""
        identity: Identity | None = getattr(request.state, "identity", None)
        session = self._gate.session(request)
        kept = with_csrf(session)
        text = self._templates.get_template(template).render(
            path=request.url.path,
            navigation=NAVIGATION if identity else (),
            identity=identity,
            may_change=identity is not None and identity.is_operator,
            may_probe=identity is not None and identity.is_operator and self._prober.is_there,
            csrf=kept.csrf,
            **context,
        )
        response = HTMLResponse(text, status, headers=dict(headers or {}))
        has_forms = identity is not None or request.url.path == "/login"
        if kept is not session and has_forms and self._settings.has_login:
            self._gate.keep(response, request, kept)
        return response


def query_text(**values: object) -> str:
    """The query of a link: ``?q=x&page=2``; what is empty is left out, and so is the first page."""
    given = {name: value for name, value in values.items() if value not in ("", None, False)}
    if given.get("page") == 1:
        del given["page"]
    return f"?{urlencode(given)}" if given else "?"

"""Logging in and out, and what operators may do from a page: probe, announce and end maintenance."""

from __future__ import annotations

import asyncio

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from postbeat.web.asking import permit
from postbeat.web.auth import CSRF_FIELD, Gate, Session
from postbeat.web.limits import Failures
from postbeat.web.nowprobe import NowProber
from postbeat.web.pages import shown_trip
from postbeat.web.params import MaintenanceBody, ProbeBody
from postbeat.web.problems import ProblemError, invalid
from postbeat.web.rendering import Renderer
from postbeat.web.site import Site
from postbeat.web.users import Users, verify
from postbeat.web.waiting import Stores

_FORM = "application/x-www-form-urlencoded"
_HASHING = 2  # passwords that are checked at a time: each takes 64 MB and much of a processor


class Forms:
    """The endpoints of forms. All of them want the CSRF token of the session."""

    def __init__(
        self,
        site: Site,
        stores: Stores,
        gate: Gate,
        users: Users,
        prober: NowProber,
        render: Renderer,
        failures: Failures,
    ) -> None:
        self._site = site
        self._stores = stores
        self._gate = gate
        self._users = users
        self._prober = prober
        self._render = render
        self._failures = failures
        self._hashing = asyncio.Semaphore(_HASHING)

    def routes(self) -> list[Route]:
        """Their places."""
        return [
            Route("/login", self.login, methods=["GET"]),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
            Route("/elements/{name}/probe", self.probe, methods=["POST"]),
            Route("/maintenance", self.announce, methods=["POST"]),
            Route("/maintenance/{id}/end", self.end, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """The form."""
        wanted = local_path(request.query_params.get("next", "/"))
        return self._render.page(request, "login.html", wanted=wanted, said="")

    async def log_in(self, request: Request) -> Response:
        """Checks name and password; a refusal does not tell which of them was wrong."""
        form = await self._form(request)
        name, password = _text(form, "name").strip(), _text(form, "password")
        wanted = local_path(_text(form, "next") or "/")
        address = self._gate.address(request)
        wait_s = self._failures.wait_s(address, name)
        if wait_s:
            said = f"Too many tries. Try again in {wait_s // 60 + 1} minutes."
            return self._refused(request, wanted, said, 429, {"Retry-After": str(wait_s)})
        self._failures.add(address, name)  # before the check: many at once must not all slip through
        user = self._users.get(name)
        async with self._hashing:
            right = await run_in_threadpool(verify, user, password)
        if user is None or not right:
            return self._refused(request, wanted, "Name or password is wrong.", 401)
        self._failures.forget(address, name)
        response = RedirectResponse(wanted, 303)
        self._gate.keep(response, request, Session.new(user.name, user.mark))
        return response

    async def log_out(self, request: Request) -> Response:
        """Ends the session in this browser."""
        await self._form(request)
        response = RedirectResponse("/login", 303)
        self._gate.keep(response, request, Session.new())
        return response

    async def probe(self, request: Request) -> Response:
        """Probes now, and shows what was found."""
        form = await self._operators(request)
        raw = {"element": request.path_params["name"], "region": _text(form, "region") or None}
        try:
            wanted = ProbeBody.model_validate(raw | {"read": _text(form, "read") == "1"})
        except ValidationError as error:
            raise invalid(error, "form") from error
        trip = await run_in_threadpool(
            lambda: self._prober.probe(wanted.element, wanted.region, read=wanted.read)
        )
        return self._render.page(request, "probed.html", shown=shown_trip(trip))

    async def announce(self, request: Request) -> Response:
        """Announces maintenance from now on."""
        form = await self._operators(request)
        raw = {name: _text(form, name) for name in ("element", "region", "seconds", "why")}
        try:
            wanted = MaintenanceBody.model_validate({name: text for name, text in raw.items() if text})
        except ValidationError as error:
            raise invalid(error, "form") from error

        by = request.state.identity.name
        await self._stores.ask(
            lambda: self._site.announce(
                wanted.element, wanted.region, None, wanted.seconds, why=wanted.why, by=by
            )
        )
        return RedirectResponse("/maintenance", 303)

    async def end(self, request: Request) -> Response:
        """Ends a window of maintenance now."""
        await self._operators(request)
        name = request.path_params["id"]
        await self._stores.ask(lambda: self._site.end(name))
        return RedirectResponse("/maintenance", 303)

    async def _form(self, request: Request) -> FormData:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise ProblemError(415, "expected a form")
        form = await request.form(max_files=0, max_fields=20)
        if not self._gate.csrf_is_right(request, _text(form, CSRF_FIELD)):
            raise ProblemError(
                403, "the page is too old, or it is not one of ours: load it anew and try again"
            )
        return form

    async def _operators(self, request: Request) -> FormData:
        form = await self._form(request)
        permit(request, request.state.identity, self._gate, _text(form, CSRF_FIELD))
        return form

    def _refused(
        self, request: Request, wanted: str, said: str, status: int, headers: dict[str, str] | None = None
    ) -> Response:
        return self._render.page(
            request, "login.html", status=status, headers=headers, wanted=wanted, said=said
        )


def local_path(wanted: str) -> str:
    """A place of ours to go to after the login; anything else becomes the overview."""
    if not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or not wanted.isprintable():
        return "/"
    return wanted[:2000]


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""

"""Refusals, as pages and as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.responses import Response

from postbeat.web.params import EXPECTED


class ProblemError(Exception):
    """Ends a request with a status and a text for people."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """The standard words for the status."""
        return HTTPStatus(self.status).phrase

    def response(self) -> Response:
        """The problem as a program reads it."""
        data: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        data["detail"] = self.detail
        if self.errors:
            data["errors"] = list(self.errors)
        return Response(
            json.dumps(data), self.status, media_type="application/problem+json", headers=self.headers
        )


def invalid(error: ValidationError, place: str) -> ProblemError:
    """What was expected, for each value that was not. Values are not repeated: they may be anything."""
    errors = [
        {"in": place, "name": ".".join(map(str, one["loc"])), "expected": _expected(one)}
        for one in error.errors(include_url=False, include_input=False)[:20]
    ]
    first = errors[0]
    return ProblemError(400, f"{place} {first['name']}: {first['expected']}", errors=errors)


def _expected(one: ErrorDetails) -> str:
    """In words: a pattern is for programs."""
    words = EXPECTED.get(one.get("ctx", {}).get("pattern", ""))
    return f"expected {words}" if words else one["msg"]

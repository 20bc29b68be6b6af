"""The OpenAPI document, made of the operations and of the models that check requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from postbeat.web.api import Operation

BASE = "/api/v1"
_REF = "#/components/schemas/{model}"
_PATH_PATTERNS = {"name": "A name of an element.", "region": "A region.", "id": "The id of a window."}


class Problem(BaseModel):
    """A refusal (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] = Field(default_factory=list, description="What was expected, where.")


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document of these operations."""
    schemas, definitions = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(BASE + one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postbeat",
            "version": metadata.version("postbeat"),
            "description": "Levels, verdicts, figures and events of mail services. Times are in seconds, "
            "instants in seconds since the epoch.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _schemas(operations: Sequence[Operation]) -> tuple[dict[type, Any], dict[str, Any]]:
    answers: set[type] = {one.answer for one in operations} | {Problem}
    bodies: set[type] = {one.body for one in operations if one.body is not None}
    inputs: list[Any] = [(kind, "serialization", TypeAdapter(kind)) for kind in sorted(answers, key=repr)]
    inputs += [(kind, "validation", TypeAdapter(kind)) for kind in sorted(bodies, key=repr)]
    found, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REF)
    return {key[0]: schema for key, schema in found.items()}, definitions["$defs"]


def _operation(one: Operation, schemas: dict[type, Any]) -> dict[str, Any]:
    answer = {"description": one.summary, "content": {"application/json": {"schema": schemas[one.answer]}}}
    data: dict[str, Any] = {
        "operationId": one.run.__name__,
        "summary": one.summary,
        "parameters": [*_path_parameters(one.path), *_query_parameters(one)],
        "responses": {str(one.status): answer} | dict(_refusals(one, schemas[Problem])),
    }
    if one.body is not None:
        content = {"application/json": {"schema": schemas[one.body]}}
        data["requestBody"] = {"required": True, "content": content}
    if one.changes:
        data["security"] = [{"token": []}]
    return data


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        schema = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._-]+$"}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schema,
            "description": _PATH_PATTERNS[name],
        }


def _query_parameters(one: Operation) -> Iterable[dict[str, Any]]:
    if one.params is None:
        return
    schema = one.params.model_json_schema(by_alias=True)
    for name, wanted in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": {key: value for key, value in wanted.items() if key != "title"},
            "description": wanted.get("description", ""),
        }


def _refusals(one: Operation, problem: Any) -> Iterable[tuple[str, dict[str, Any]]]:  # noqa: ANN401
    said = {"400": "What was asked for is not valid", "401": "Nobody has logged in"}
    said |= {"503": "Redis does not answer"}
    if "{" in one.path or one.changes:
        said["404"] = "There is no such thing"
    if one.changes:
        said |= {"403": "Only operators may do this", "409": "It cannot be done now", "429": "Too often"}
        said["413"] = "The body is too large"
        said["415"] = "The body is not JSON"
    for status, description in sorted(said.items()):
        content = {"application/problem+json": {"schema": problem}}
        yield status, {"description": description, "content": content}

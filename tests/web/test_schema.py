"""Schemathesis goes through the OpenAPI document: the server never fails, and answers as it describes."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, checks

from postbeat.web.api import OPERATIONS, Operation
from postbeat.web.openapi import BASE
from tests.web.conftest import People
from tests.web.serving import Client

EXAMPLES = 4  # of each kind, for each operation
CHECKS: Any = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@pytest.fixture(scope="module")
def schema(server: Client, people: People) -> Any:
    headers = {"Authorization": f"Bearer {people.operator_token}"}
    return schemathesis.openapi.from_url(f"{server.url}{BASE}/openapi.json", headers=headers)


@pytest.mark.parametrize("one", OPERATIONS, ids=lambda one: one.run.__name__)
def test_no_input_makes_the_server_fail(one: Operation, schema: Any, people: People) -> None:
    operation = schema[BASE + one.path][one.method]
    headers = {"Authorization": f"Bearer {people.operator_token}"}
    kinds = [GenerationMode.POSITIVE]
    if one.params or one.body:
        kinds.append(GenerationMode.NEGATIVE)
    for kind in kinds:

        @given(case=operation.as_strategy(kind))
        @settings(
            max_examples=EXAMPLES,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def passes(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        passes()

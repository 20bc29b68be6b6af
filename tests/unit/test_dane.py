"""What a TLSA record is matched with, whatever a server sends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.dane import Tlsa, matches, mismatch

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("mx.example.com", "MX.example.com.", True),
        ("*.example.com", "mx.example.com", True),
        ("*.example.com", "a.mx.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("mx*.example.com", "mx1.example.com", False),
        ("*", "com", False),
        ("", "example.com", False),
    ],
)
def test_a_star_stands_for_exactly_one_label(pattern: str, name: str, is_match: bool) -> None:
    assert matches(pattern, name) is is_match


@pytest.mark.parametrize(
    ("record", "usable"),
    [
        (Tlsa(3, 1, 1, bytes(32)), True),
        (Tlsa(2, 0, 2, bytes(64)), True),
        (Tlsa(3, 0, 0, b"x"), True),
        (Tlsa(3, 0, 0, b""), False),
        (Tlsa(3, 1, 1, bytes(31)), False),
        (Tlsa(1, 1, 1, bytes(32)), False),
        (Tlsa(3, 2, 1, bytes(32)), False),
        (Tlsa(3, 1, 3, bytes(32)), False),
        (Tlsa(255, 1, 1, bytes(32)), False),
    ],
)
def test_a_record_is_usable_where_smtp_knows_its_numbers_and_its_data_fit(record: Tlsa, usable: bool) -> None:
    assert record.usable is usable


@given(st.lists(st.binary(max_size=200), max_size=4), st.sampled_from([2, 3]))
def test_what_is_no_certificate_matches_nothing(chain: list[bytes], usage: int) -> None:
    assert mismatch([Tlsa(usage, 0, 0, b"x")], chain, ["mx.example.com"], NOW)


def test_without_a_usable_record_nothing_matches() -> None:
    assert mismatch([], [], ["mx.example.com"], NOW)

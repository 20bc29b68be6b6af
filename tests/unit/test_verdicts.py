"""Authentication-Results fields as verdicts."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.arrival.verdicts import METHODS, TEXT_LIMIT, own_names, verdicts
from postbeat.delivery import Verdict
from tests.conftest import MANY
from tests.growth import is_linear

MX = ("mx.test",)
WORDS = [
    *("mx.test", ";", " ", "=", "/", ".", "(", ")", '"', "\\", "\\\\", "\t", "\r\n ", "1", "none", "pass"),
    *("fail", "spf", "dkim", "dmarc", "arc", "dkim=pass", "header.d=a.test", "reason", "\0", "\ud800", "@"),
]
PIECES = st.lists(st.sampled_from(WORDS), max_size=20).map("".join)


def results(*values: str, trusted: tuple[str, ...] = MX) -> dict[str, str]:
    return {verdict.method: verdict.result for verdict in verdicts(values, trusted)}


def only(value: str) -> Verdict:
    (verdict,) = verdicts([value], MX)
    return verdict


def test_each_method_has_its_verdict_in_one_order() -> None:
    value = (
        "mx.test; arc=none; dmarc=pass (p=REJECT sp=NONE dis=NONE) header.from=a.test; "
        "dkim=pass header.d=a.test header.s=probe header.b=AbC+/12=; "
        'spf=softfail (mx.test: a.test; "not" sure) smtp.mailfrom=sender@a.test smtp.helo=h.a.test'
    )
    assert verdicts([value], MX) == (
        Verdict("spf", "softfail", "mx.test", "mailfrom=sender@a.test helo=h.a.test"),
        Verdict("dkim", "pass", "mx.test", "d=a.test s=probe"),
        Verdict("dmarc", "pass", "mx.test", "from=a.test"),
        Verdict("arc", "none", "mx.test"),
    )


@pytest.mark.parametrize(
    "value",
    [
        "mx.test 1; dkim=pass",
        "mx.test;dkim=pass",
        "MX.Test; DKIM=Pass",
        "mx.test.; dkim=pass",
        '"mx.test" 1; dkim=pass',
        "(a) mx.test (b (c)) 1 (d); (e) dkim (f) = (g) pass (h)",
        "mx.test; dkim/1=pass",
        "mx.test; dkim / 1 = pass",
        "mx.test; dkim (x) /(y) 1=pass",
        "mx.test;\r\n\tdkim=pass\r\n\t(2048-bit key)",
        'mx.test; dkim="pass"',
        "mx.test; dkim=pass;",
        "mx.test;; dkim=pass ;;",
        "mx.test; iprev=pass policy.iprev=192.0.2.7; dkim-adsp=fail; dkim=pass",
        "mx.test; spf; =fail; dkim=pass",
    ],
)
def test_one_result_may_be_written_in_many_ways(value: str) -> None:
    assert results(value) == {"dkim": "pass"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";",
        "mx.test",
        "mx.test; none",
        "mx.test 1; none",
        "mx.test; (none)",
        "mx.test; dkim",
        "mx.test; dkim=",
        "mx.test; dkim/2=pass",
        "mx.test; x-dkim=pass",
        "mx.test; dkim=p@ss",
        "mx.test; (dkim=pass)",
        "mx.test; (never closed; dkim=pass",
        'mx.test; x="; dkim=pass"',
        'mx.test; x="\\"; dkim=pass"',
        'mx.test; "dkim=pass"',
        "mx.test dkim=pass",
        "dkim=pass; mx.test; dkim=pass",
        "; dkim=pass",
        "other.test; dkim=pass",
        "mx.test.other.test; dkim=pass",
        "other.test (mx.test); dkim=pass",
        "i=1; mx.test; dkim=pass",
    ],
)
def test_what_is_no_result_of_a_trusted_host_is_none(value: str) -> None:
    assert verdicts([value], MX) == ()


def test_only_trusted_hosts_are_believed_and_of_them_the_topmost() -> None:
    fields = ["evil.test; spf=pass", "MX2.test; spf=fail", "mx.test; spf=pass; dmarc=fail"]
    assert results(*fields, trusted=("mx.test", "mx2.TEST")) == {"spf": "fail", "dmarc": "fail"}
    assert results(*fields, trusted=()) == {}


def test_of_several_signatures_one_that_passes_is_enough() -> None:
    fields = [
        "mx.test; dkim=fail header.d=list.test; dkim=pass header.d=a.test; dkim=pass header.d=b.test",
        "mx.test; dkim=neutral header.d=c.test",
    ]
    assert verdicts(fields, MX) == (Verdict("dkim", "pass", "mx.test", "d=a.test"),)
    assert verdicts(reversed(fields), MX) == (Verdict("dkim", "pass", "mx.test", "d=a.test"),)


def test_a_result_that_nobody_knows_counts_less_than_any_other() -> None:
    assert results("mx.test; dkim=great; dkim=none") == {"dkim": "none"}
    assert results("mx.test; dkim=great") == {"dkim": "great"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ('spf=fail reason="not; \\"allowed\\"" smtp.mailfrom=a@b.test', 'not; "allowed", mailfrom=a@b.test'),
        ("spf=fail reason = unsure", "unsure"),
        ("spf=fail smtp . mailfrom = a@b.test", "mailfrom=a@b.test"),
        ("spf=fail smtp.mailfrom=prvs=4711=a@b.test", "mailfrom=prvs=4711=a@b.test"),
        ('spf=fail smtp.mailfrom="a; b"@b.test smtp.helo=h', "mailfrom=a; b@b.test helo=h"),
        ("spf=fail junk smtp.helo=h smtp.helo=i", "helo=h"),
        ("dkim=fail header.i=@a.test", "i=@a.test"),
        ("dkim=fail header.d=" + "a" * 300, "d=" + "a" * 253),
    ],
)
def test_the_reason_says_whose_identity_it_is_about(value: str, reason: str) -> None:
    assert only(f"mx.test; {value}").reason == reason


def test_by_default_the_mailbox_server_and_the_host_that_delivered_are_trusted() -> None:
    received = ["from mx.test (mx) by Box.test (x) with LMTP; 10 Mar 2026 12:00 +0000", "by evil.test"]
    assert own_names(received, "imap.test") == ("box.test", "imap.test")
    assert own_names(received, "BOX.test.") == ("box.test",)
    assert own_names(["garbage"], "imap.test") == ("imap.test",)
    assert own_names([], "imap.test") == ("imap.test",)


@settings(max_examples=MANY)
@given(st.lists(PIECES.map("mx.test;".__add__) | PIECES | st.text(), max_size=3))
@example(['mx.test;dkim=pass reason="\\'])
@example(["mx.test;dkim=pass reason=\ud800\0"])
def test_whatever_the_fields_say_verdicts_are_few_printable_and_bounded(values: list[str]) -> None:
    found = verdicts(values, MX)
    methods = [verdict.method for verdict in found]
    assert methods == [method for method in METHODS if method in methods]
    for verdict in found:
        assert verdict.by == "mx.test"
        for text in (verdict.result, verdict.reason):
            assert text.isprintable()
            assert len(text) <= TEXT_LIMIT


@settings(max_examples=MANY)
@given(PIECES)
def test_no_text_in_a_comment_or_in_quotes_is_a_result(text: str) -> None:
    hidden = text.replace("\\", "").replace('"', "").replace("(", "").replace(")", "")
    assert results(f'mx.test; ({hidden}) spf=fail ({hidden}) x="{hidden}"') == {"spf": "fail"}


@pytest.mark.parametrize(
    "unit", ["(", ")", ";", " ", '"', "\\", "()", '"\\', "a", "=", "a=", "a.", ". ", "/", "dkim=pass;", '"" ']
)
def test_long_fields_take_no_longer_than_they_are(unit: str) -> None:
    def read(field: bytes) -> None:
        verdicts([field.decode()], MX)

    for start in ("", "mx.test;", "mx.test;dkim=pass reason=", 'mx.test;dkim=pass reason="'):
        once, four_times = (start + unit * (size // len(unit)) for size in (16_384, 65_536))
        assert is_linear(read, once.encode(), four_times.encode())

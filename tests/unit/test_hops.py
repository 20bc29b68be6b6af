"""Received fields as hops, and what their dates say of clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbeat.arrival.hops import HOPS_LIMIT, NAME_LIMIT, hop_of, instant_us, path
from tests.conftest import MANY
from tests.growth import is_linear

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000
DATE = "Tue, 10 Mar 2026 12:00:00 +0000"
S = 1_000_000
TEXT = st.text(st.sampled_from('()\\";:<>@[]=,.- \t\r\nabBy019\0\xe9\ud800')) | st.text()
PIECES = st.lists(
    st.sampled_from(
        ["from", "by", "with", "id", "for", "(", ")", ";", '"', "\\", " ", "mx.test", DATE, "10 Mar 26 12:00"]
    ),
    max_size=12,
).map(" ".join)


def at(second: int) -> str:
    return f"from a.test by b.test; Tue, 10 Mar 2026 12:00:{second:02} +0000"


@pytest.mark.parametrize(
    ("value", "by", "sender", "protocol"),
    [
        pytest.param(
            "from probe.test (probe.test [192.0.2.7]) (using TLSv1.3 with cipher X (256/256 bits)) "
            f"(No client certificate requested) by mx.test (Postfix) with ESMTPS id 4F; {DATE}",
            *("mx.test", "probe.test", "ESMTPS"),
            id="Postfix",
        ),
        pytest.param(
            f"by mx.test (Postfix, from userid 0) id 4F2; {DATE}", "mx.test", "", "", id="Postfix pickup"
        ),
        pytest.param(
            "from [192.0.2.7] (helo=probe.test) by mx.test with esmtps (TLS1.3) tls TLS_AES_256 (Exim 4.98) "
            f"(envelope-from <a@probe.test>) id 1tAbCd-0001-2x for b@mx.test; {DATE}",
            *("mx.test", "[192.0.2.7]", "esmtps"),
            id="Exim",
        ),
        pytest.param(
            "from probe.test (probe.test [192.0.2.7] (may be forged)) by mx.test (8.18.1/8.18.1) with ESMTP "
            f"id 52A (version=TLSv1.3 verify=NOT) for <b@mx.test>; {DATE} (GMT)",
            *("mx.test", "probe.test", "ESMTP"),
            id="sendmail",
        ),
        pytest.param(
            f"(from root@localhost) by mx.test (8.18.1/8.18.1/Submit) id 52A; {DATE}",
            *("mx.test", "", ""),
            id="sendmail, submitted",
        ),
        pytest.param(
            "from unknown (HELO probe.test) (192.0.2.7) by mx.test with SMTP; 10 Mar 2026 12:00:00 -0000",
            *("mx.test", "unknown", "SMTP"),
            id="qmail",
        ),
        pytest.param(
            "(qmail 4711 invoked by uid 89); 10 Mar 2026 12:00:00 -0000", "", "", "", id="qmail, invoked"
        ),
        pytest.param(
            "from A1.prod.test (2001:db8::1) by A2.prod.test (2001:db8::2) with Microsoft SMTP Server "
            f"(version=TLS1_2, cipher=X) id 15.20.8.1; {DATE}",
            *("A2.prod.test", "A1.prod.test", "Microsoft SMTP Server"),
            id="Exchange",
        ),
        pytest.param(
            f"from A1.test ([fe80::1%3]) by A2.test ([fe80::2%5]) with mapi id 15.2.1; {DATE}",
            *("A2.test", "A1.test", "mapi"),
            id="Exchange, mapi",
        ),
        pytest.param(
            f"from A1.test (10.0.0.1) by A2.test via Frontend Transport; {DATE}",
            *("A2.test", "A1.test", ""),
            id="Exchange, front end",
        ),
        pytest.param(
            "by 2001:db8:12:b0:5:0:0:1 with SMTP id k1csp1; Tue, 10 Mar 2026 05:00:00 -0700 (PDT)",
            *("2001:db8:12:b0:5:0:0:1", "", "SMTP"),
            id="Gmail, inside",
        ),
        pytest.param(
            "from probe.test (probe.test. [192.0.2.7]) by mx.test with ESMTPS id x-9 for <b@mx.test> "
            "(version=TLS1_3 cipher=X bits=256/256); Tue, 10 Mar 2026 05:00:00 -0700 (PDT)",
            *("mx.test", "probe.test", "ESMTPS"),
            id="Gmail",
        ),
        pytest.param(
            f"from mx.test by box.test with LMTP id yOq (envelope-from <a@probe.test>) for <b@mx>; {DATE}",
            *("box.test", "mx.test", "LMTP"),
            id="Dovecot LMTP",
        ),
        pytest.param(
            "from out.test (out.test [192.0.2.8]) by inbound.region.test with SMTP id r8 for b@mx.test; "
            f"{DATE} (UTC)",
            *("inbound.region.test", "out.test", "SMTP"),
            id="Amazon SES",
        ),
    ],
)
def test_what_servers_write_is_understood(value: str, by: str, sender: str, protocol: str) -> None:
    hop = hop_of(value)
    assert (hop.by, hop.sender, hop.protocol, hop.at_us) == (by, sender, protocol, NOON_US)


@pytest.mark.parametrize(
    ("value", "by"),
    [
        (f"from a (b (c (d)) ; \\) \\( e) by mx.test (x) with SMTP; {DATE}", "mx.test"),
        (f"from a (never closed by mx.test with SMTP; {DATE}", "mx.test"),
        (f"from a closed) too often by mx.test with SMTP; {DATE}", "mx.test"),
        (f'from "a by mx.test with SMTP; {DATE}', "mx.test"),
        (f"FROM a BY mx.test WITH SMTP;{DATE}", "mx.test"),
        (f"from a by mx.test by other.test; {DATE}", "mx.test"),
        (f"from a by mx.test for <b;c@mx.test>; {DATE}", "mx.test"),
        (f"from a\r\n\tby mx.test;\r\n {DATE}", "mx.test"),
        (f"from a by mx.test {DATE}", "mx.test"),
        (f"; {DATE}", ""),
        (f"from a by ; {DATE}", ""),
    ],
)
def test_what_is_badly_formed_is_understood_as_far_as_possible(value: str, by: str) -> None:
    assert (hop_of(value).by, hop_of(value).at_us) == (by, NOON_US)


@pytest.mark.parametrize("value", ["", ";", "garbage", "from", "by", "();();", ";" * 1000, "\\", '"'])
def test_garbage_is_a_hop_that_tells_nothing(value: str) -> None:
    hop = hop_of(value)
    assert (hop.by, hop.sender, hop.protocol, hop.at_us) == ("", "", "", None)


@pytest.mark.parametrize(
    "date",
    [
        DATE,
        "10 Mar 2026 12:00:00 +0000",
        "10 Mar 2026 12:00 +0000",
        "Tue, 10 Mar 26 12:00:00 GMT",
        "Tue, 10 Mar 126 12:00:00 UT",
        "Tue,10-Mar-2026 12:00:00 Z",
        "Tuesday, 10 March 2026 12:00:00 UTC",
        "Tue, 10 MAR 2026 12:00:00.123456 +0000",
        "Tue, 10 Mar 2026  12 : 00 : 00 +0000",
        "Tue, 10 Mar 2026 17:30:00 +0530",
        "Tue, 10 Mar 2026 13:00:00 +01:00",
        "Wed, 11 Mar 2026 02:00:00 +1400",
        "Tue, 10 Mar 2026 08:00:00 EDT",
        "Tue, 10 Mar 2026 07:00:00 EST",
        "Tue, 10 Mar 2026 07:00:00 CDT",
        "Tue, 10 Mar 2026 06:00:00 CST",
        "Tue, 10 Mar 2026 06:00:00 MDT",
        "Tue, 10 Mar 2026 05:00:00 MST",
        "Tue, 10 Mar 2026 05:00:00 PDT",
        "Tue, 10 Mar 2026 04:00:00 PST",
        "Tue, 10 Mar 2026 11:59:60 -0000",
    ],
)
def test_one_instant_may_be_written_in_many_ways(date: str) -> None:
    assert instant_us(date) == NOON_US


@pytest.mark.parametrize(("year", "meant"), [("49", 2049), ("00", 2000), ("99", 1999), ("70", 1970)])
def test_two_digits_are_a_year_near_the_turn_of_the_century(year: str, meant: int) -> None:
    expected = int(datetime(meant, 3, 10, 12, tzinfo=UTC).timestamp()) * S
    assert instant_us(f"10 Mar {year} 12:00 +0000") == expected


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "10 Mar 2026",
        "10 Mar 2026 12:00:00",
        "10 Mar 2026 12:00:00 CET",
        "10 Mar 2026 12:00:00 A",
        "10 Mar 2026 12:00:00 +9900",
        "10 Mar 2026 12:00:00 +0060",
        "10 Mar 2026 24:00:00 +0000",
        "10 Mar 2026 12:61:00 +0000",
        "10 Mar 2026 12:00:61 +0000",
        "30 Feb 2026 12:00:00 +0000",
        "10 Foo 2026 12:00:00 +0000",
        "10 Mar 50 12:00:00 +0000",
        "31 Dec 9999 23:59:59 -1200",
        "\u0661\u0660 Mar 2026 12:00:00 +0000",
    ],
)
def test_a_date_that_leaves_doubt_tells_no_time(date: str) -> None:
    assert instant_us(date) is None


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2400, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_any_instant_in_any_zone_is_read_as_it_was_written(local: datetime, zone: int) -> None:
    written = local.replace(microsecond=0, tzinfo=UTC)
    sign = "-" if zone < 0 else "+"
    text = f"{written:%d %b} {written.year} {written:%H:%M:%S} {sign}{abs(zone) // 60:02}{abs(zone) % 60:02}"
    assert instant_us(text) == (int(written.timestamp()) - zone * 60) * S


def test_the_path_goes_from_the_oldest_field_to_the_newest() -> None:
    found = path([at(7), at(4), at(5), at(1)], accepted_at_us=NOON_US, seen_at_us=NOON_US + 9 * S)
    assert [hop.at_us for hop in found.hops] == [NOON_US + second * S for second in (1, 5, 4, 7)]
    assert [hop.took_us for hop in found.hops] == [None, 4 * S, -S, 3 * S]
    assert [hop.skew_us for hop in found.hops] == [0, 0, 0, 0]
    assert found.hop_count == 4


def test_a_hop_without_a_time_leaves_open_how_long_its_neighbours_took() -> None:
    found = path([at(7), at(6), "by b.test; soon", at(1)], accepted_at_us=NOON_US, seen_at_us=NOON_US + 9 * S)
    assert [hop.took_us for hop in found.hops] == [None, None, None, S]
    assert [hop.skew_us for hop in found.hops] == [0, None, 0, 0]


@pytest.mark.parametrize(
    ("accepted", "seen", "uncertainty", "skew"),
    [
        (10.0, 12.0, 0.0, 0.0),  # the stamp says 10: it was [10, 11)
        (10.9, 12.0, 0.0, 0.0),
        (11.5, 12.0, 0.0, -0.5),
        (11.5, 12.0, 0.4, -0.1),
        (11.5, 12.0, 0.5, 0.0),
        (8.0, 10.0, 0.0, 0.0),
        (8.0, 9.0, 0.0, 1.0),
        (8.0, 9.0, 0.3, 0.7),
        (8.0, 9.0, 1.0, 0.0),
    ],
)
def test_the_skew_of_a_hop_is_the_least_that_explains_its_time(
    accepted: float, seen: float, uncertainty: float, skew: float
) -> None:
    found = path(
        [at(10)],
        accepted_at_us=NOON_US + round(accepted * S),
        seen_at_us=NOON_US + round(seen * S),
        uncertainty_us=round(uncertainty * S),
    )
    assert found.hops[0].skew_us == round(skew * S)


def test_a_server_may_stamp_a_message_before_it_has_all_of_it() -> None:
    times = {"accepted_at_us": NOON_US + 20 * S, "seen_at_us": NOON_US + 21 * S}
    assert path([at(10)], **times).hops[0].skew_us == -9 * S
    assert path([at(10)], **times, sent_at_us=NOON_US + 8 * S).hops[0].skew_us == 0


@given(
    skew_us=st.integers(-100 * S, 100 * S),
    delivery_us=st.integers(0, 60 * S),
    share=st.floats(0, 1),
    errors_us=st.tuples(st.integers(-S, S), st.integers(-S, S)),
)
def test_the_true_skew_of_the_server_is_within_what_is_stated(
    skew_us: int, delivery_us: int, share: float, errors_us: tuple[int, int]
) -> None:
    accepted_us = NOON_US + 500 * S + 123_457
    stamped_us = accepted_us + round(delivery_us * share)
    written = datetime.fromtimestamp((stamped_us + skew_us) // S, UTC)
    found = path(
        [f"by b.test; {written:%d %b %Y %H:%M:%S} +0000", at(1)],
        accepted_at_us=accepted_us + errors_us[0],
        seen_at_us=accepted_us + delivery_us + errors_us[1],
        uncertainty_us=S,
    )
    assert found.server_skew_us is not None
    assert found.server_skew_uncertainty_us is not None
    assert abs(found.server_skew_us - skew_us) <= found.server_skew_uncertainty_us + 1
    assert found.server_skew_uncertainty_us <= (delivery_us + 2 * S + 3 * S) / 2 + 1
    least_us = found.hops[-1].skew_us
    assert least_us is not None
    assert abs(least_us) <= abs(skew_us)
    assert least_us * skew_us >= 0


def test_the_skew_of_the_server_is_by_the_topmost_field_with_a_time() -> None:
    found = path(["by b.test; soon", at(30), at(1)], accepted_at_us=NOON_US, seen_at_us=NOON_US + 4 * S)
    assert (found.server_skew_us, found.server_skew_uncertainty_us) == (28_500_000, 2_500_000)


def test_without_a_time_there_is_no_skew() -> None:
    for received in ([], ["by b.test"]):
        found = path(received, accepted_at_us=0, seen_at_us=0)
        assert found.server_skew_us is found.server_skew_uncertainty_us is None
        assert found.hop_count == len(received)


def test_of_too_many_hops_the_newest_are_kept_and_all_are_counted() -> None:
    found = path([at(second % 60) for second in range(1000)], accepted_at_us=0, seen_at_us=0)
    assert found.hop_count == 1000
    assert len(found.hops) == HOPS_LIMIT
    assert found.hops[-1].at_us == NOON_US


@settings(max_examples=MANY)
@given(TEXT | PIECES, st.integers(-(10**17), 10**17), st.integers(-(10**17), 10**17))
@example("by \ud800; 31 Dec 9998 23:59:60 -2359", 0, 0)
def test_whatever_a_field_says_the_hop_is_printable_and_bounded(value: str, accepted: int, seen: int) -> None:
    found = path([value, value], accepted_at_us=accepted, seen_at_us=seen)
    assert found.hop_count == len(found.hops) == 2
    for hop in found.hops:
        for text in (hop.by, hop.sender, hop.protocol):
            assert text.isprintable()
            assert len(text) <= NAME_LIMIT
    if found.hops[0].at_us is not None:
        assert found.hops[1].took_us == 0
        assert (found.server_skew_uncertainty_us or 0) >= S // 2


@pytest.mark.parametrize(
    "unit", ["(", ")", ";", " ", '"', "\\", "()", "\\(", '"\\', "a", "1", "by ", "10 Mar ", "(;", "=", "10-"]
)
def test_long_fields_take_no_longer_than_they_are(unit: str) -> None:
    def read(value: bytes) -> None:
        path([value.decode()] * HOPS_LIMIT, accepted_at_us=0, seen_at_us=0)

    for before, after in (("", ""), ("by ", f"; {DATE}")):
        once, four_times = (before + unit * (size // len(unit)) + after for size in (16_384, 65_536))
        assert is_linear(read, once.encode(), four_times.encode())

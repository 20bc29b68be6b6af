"""The pages that only show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from postbeat.figures import TIMINGS
from postbeat.results import Attempt, Result, TlsFacts
from postbeat.rollup import Rollup, availability
from postbeat.roundtrip import RoundTrip
from postbeat.store.summary import any_named
from postbeat.verdict import Verdict
from postbeat.web import charts
from postbeat.web.api import wanted_event
from postbeat.web.asking import query
from postbeat.web.guard import CHART_CSP
from postbeat.web.params import EventParams, SearchParams
from postbeat.web.problems import ProblemError
from postbeat.web.rendering import Renderer
from postbeat.web.rows import COUNTED_AS, IN_MAINTENANCE, Page, tally
from postbeat.web.settings import WebSettings
from postbeat.web.site import RANGES, Past, Series, Site, Standing
from postbeat.web.waiting import Stores

PER_PAGE = 200
DEFAULT_RANGE = "24h"
PROBED = "probe"  # where a form of an element's page leads to


class Pages:
    """The endpoints. What a page shows is gathered in a thread, as the stores block."""

    def __init__(self, settings: WebSettings, site: Site, stores: Stores, render: Renderer) -> None:
        self._settings = settings
        self._site = site
        self._stores = stores
        self._render = render

    def routes(self) -> list[Route]:
        """Their places."""
        return [
            Route("/", self._page(self.overview)),
            Route("/elements/{name}", self._page(self.element)),
            Route("/elements/{name}/{region}", self._page(self.element)),
            Route("/events", self._page(self.events)),
            Route("/mailboxes", self._page(self.mailboxes)),
            Route("/regions", self._page(self.regions)),
            Route("/maintenance", self._page(self.maintenance), methods=["GET"]),
            Route("/status/{group}", self._page(self.status)),
        ]

    def overview(self, request: Request) -> Response:
        """Elements and their regions, worst first."""
        params = query(request, SearchParams, lenient=True)
        board, at_us = self._site.board(), self._site.now_us()
        wanted = params.wanted
        found = board.find(replace(wanted, verdict=""))  # the tally leads from one verdict to another
        rows = [row for row in found if row.counted_as == wanted.verdict] if wanted.verdict else found
        page = Page.of(rows, params.page, min(params.limit, PER_PAGE))
        calendar = self._site.calendar({row.element: row.facts for row in page.rows})
        return self._shown(
            request,
            "overview",
            params=params,
            board=board,
            tally=board.tally if found is board.rows else tally(found),
            page=page,
            in_maintenance={
                pair.pair for row in page.rows for pair in row.pairs if calendar.covers(pair.pair, at_us)
            },
        )

    def element(self, request: Request) -> Response:
        """All of an element, or of an element in a region."""
        name, region = request.path_params["name"], request.path_params.get("region")
        standing = self._site.standing(name, region)
        if standing is None and region == PROBED and self._site.standing(name) is not None:
            return RedirectResponse(f"/elements/{name}", 303)  # what a form has shown, loaded anew
        if standing is None:
            raise ProblemError(404, "there is no such element" + (" in this region" if region else ""))
        chosen = request.query_params.get("range", DEFAULT_RANGE)
        if chosen not in RANGES:
            raise ProblemError(400, f"query range: expected one of {', '.join(RANGES)}")
        length_us, step = RANGES[chosen]
        past = self._site.past(standing, length_us, step)
        response = self._shown(
            request,
            "element",
            standing=standing,
            region=region,
            past=past,
            ranges=tuple(RANGES),
            chosen=chosen,
            step=step,
            length_s=length_us // 1_000_000,
            **element_charts(standing, past),
        )
        response.headers["content-security-policy"] = CHART_CSP
        return response

    def events(self, request: Request) -> Response:
        """The newest changes, newest first."""
        params = query(request, EventParams, lenient=True)
        found = self._site.view.events(min(params.limit, PER_PAGE), lambda event: wanted_event(event, params))
        return self._shown(request, "events", params=params, events=found[::-1])

    def mailboxes(self, request: Request) -> Response:
        """Every mailbox."""
        return self._shown(request, "mailboxes", mailboxes=self._site.view.mailboxes())

    def regions(self, request: Request) -> Response:
        """Workers, queues, and beat."""
        return self._shown(request, "regions", regions=self._site.regions(), beat=self._site.facts.beat())

    def maintenance(self, request: Request) -> Response:
        """What was announced, newest first."""
        windows = sorted(self._site.maintenance.listing(), key=lambda one: one.from_us, reverse=True)
        windows, profile, now_us = windows[:PER_PAGE], self._site.board().facts, self._site.now_us()
        idle = {
            one.id
            for one in windows
            if one.to_us > now_us and not any_named(profile, one.element, one.region)
        }
        return self._shown(request, "maintenance", windows=windows, idle=idle)

    def status(self, request: Request) -> Response:
        """A group for everybody: no hosts, no messages, no replies, and nothing of other groups.

        What is in maintenance is not in the headline, unless all is. While beat is silent there is no news,
        so everything is UNKNOWN.
        """
        group = request.path_params["group"]
        if group not in self._settings.public_groups:
            raise ProblemError(404, "there is nothing here")
        found = self._site.public(group)
        shown = [
            (
                one,
                one.row.counted_as if found.silent_since_us is None else Verdict.UNKNOWN,
                charts.days(one.days, one.target),
                availability(merged(one.days).counts),
            )
            for one in found.elements
        ]
        others = [counted for _, counted, *_ in shown if counted != IN_MAINTENANCE]
        return self._as_of(
            request,
            "status",
            found.at_us,
            found.silent_since_us,
            group=group,
            shown=shown,
            worst=min(others, key=COUNTED_AS.index, default=IN_MAINTENANCE),
            some_in_maintenance=len(others) < len(shown),
        )

    def _page(self, show: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await self._stores.ask(lambda: show(request))

        return endpoint

    def _shown(self, request: Request, name: str, **context: Any) -> Response:  # noqa: ANN401
        """A page as of now."""
        now_us = self._site.now_us()
        return self._as_of(request, name, now_us, self._site.silent_since_us(now_us), **context)

    def _as_of(
        self,
        request: Request,
        name: str,
        now_us: int,
        silent_since_us: int | None,
        **context: Any,  # noqa: ANN401
    ) -> Response:
        """The whole page, or for a script of ours the part that changes."""
        template = "live.html" if is_fragment(request) else f"{name}.html"
        context |= {"part": f"_{name}.html", "now_us": now_us, "silent_since_us": silent_since_us}
        return self._render.page(request, template, **context)


def is_fragment(request: Request) -> bool:
    """Whether a script of ours asks for the part of a page that changes."""
    return bool(request.query_params.get("fragment"))


def merged(series: Series) -> Rollup:
    """All periods of a series together."""
    whole = Rollup()
    for _, rollup in series:
        whole.merge(rollup)
    return whole


def element_charts(standing: Standing, past: Past) -> dict[str, Any]:
    """What is drawn on an element's page."""
    drawn = [chart for name in TIMINGS if (chart := charts.lines(past.series, name)) is not None]
    delivery = [
        (
            region,
            {name: rollup.percentile("timeToDeliver", share) for name, share in charts.QUANTILES.items()},
        )
        for region, rollup in past.by_region.items()
        if rollup.count("timeToDeliver")
    ]
    slowest_us = max((figures["p99"] or 0 for _, figures in delivery), default=0)
    return {
        "days": charts.days(past.days, standing.target),
        "lines": drawn,
        "chart_size": (charts.WIDTH, charts.HEIGHT),
        "delivery": delivery,
        "slowest_us": slowest_us or 1,
        "trips": [shown_trip(state.round_trip) for state in standing.states],
    }


def shown_trip(trip: RoundTrip) -> dict[str, Any]:
    """A round trip: each half with its attempts as waterfalls, the path, the certificates."""
    halves = [half for half in (trip.send, trip.read, trip.after, trip.check) if half is not None]
    delivered = next((half for half in (trip.read, trip.after) if half is not None and half.delivery), None)
    return {
        "trip": trip,
        "halves": [
            (half, [(attempt, charts.waterfall(attempt)) for attempt in half.attempts]) for half in halves
        ],
        "delivery": delivered.delivery if delivered else None,
        "tls": [(half.phase, tls) for half in halves if (tls := _tls(half)) is not None],
    }


def _tls(result: Result) -> TlsFacts | None:
    attempt: Attempt | None = result.decisive
    return attempt.tls if attempt else None

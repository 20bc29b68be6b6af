"""Templates of what people read: Jinja2 in its sandbox, compiled once, of bounded output."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from postbeat.alerts import alert_of
from postbeat.sinks.notice import Notice, samples, timestamp

log = logging.getLogger(__name__)

TEMPLATE_LIMIT = 10_000  # characters of a template
OUTPUT_LIMIT = 20_000  # characters of what it makes

SUBJECT = "[postbeat] {{ headline }}"
BODY = """\
{{ headline }}

{{ message }}

{% if group %}Group:    {{ group }}
{% endif -%}
Element:  {{ element }}
{% if region %}Region:   {{ region }}
{% endif -%}
Level:    {{ was }} -> {{ level }}
Time:     {{ time }}
{% if stage %}Stage:    {{ stage }}
{% endif -%}
{% for text in region_texts %}  {{ text }}
{% endfor -%}
{% if is_monitor %}
Nothing is known of the service itself: the monitor could not look, or nothing came from it.
{% endif -%}
{% if told_time %}
The problem began at {{ told_time }}.
{% endif -%}
Poll:     {{ poll }}
Event:    {{ id }}
"""
SLACK_TEXT = """\
*{{ headline }}*
{{ message }}{% if stage %} (stage {{ stage }}){% endif %}
{% for text in region_texts %}{{ text }}
{% endfor -%}
{{ time }}"""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FLOWING = re.compile(r"\s+")


class Template:
    """A template and the one that takes its place where it fails: an event is told in any case.

    ``escape`` is applied to every text of the event before it is put in.

    Raises:
        ValueError: it is no template.
    """

    def __init__(self, text: str, default: str, escape: Callable[[str], str] = str) -> None:
        self._template = _compiled(text)
        self._default = _compiled(default)
        self._escape = escape

    def render(self, notice: Notice) -> str:
        """The text for a notice, at most OUTPUT_LIMIT characters."""
        values = _values(notice, self._escape)
        try:
            return _bounded(self._template, values)
        except Exception as error:  # a template may do anything that its author thought of
            log.warning("A template failed (%s), the default is used", type(error).__name__)
            return _bounded(self._default, values)

    def line(self, notice: Notice) -> str:
        """The same in one line."""
        return _FLOWING.sub(" ", self.render(notice)).strip()[:200]


def check(text: str) -> str:
    """The text, which is a template that works for events of each sort.

    Raises:
        ValueError: it is none; the message says why.
    """
    template = _compiled(text)
    for notice in samples():
        try:
            _bounded(template, _values(notice, str))
        except Exception as error:
            raise ValueError(_one_line(error)) from None
    return text


def _compiled(text: str) -> Any:  # noqa: ANN401  a template of Jinja2 has no type for what it yields
    try:
        return _ENVIRONMENT.from_string(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"line {error.lineno}: {_one_line(error)}") from None
    except TemplateError as error:
        raise ValueError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    return _FLOWING.sub(" ", str(error)).strip()[:200] or type(error).__name__


def _bounded(template: Any, values: dict[str, Any]) -> str:  # noqa: ANN401
    text = ""
    for piece in template.generate(values):
        text += piece
        if len(text) > OUTPUT_LIMIT:
            return _CONTROLS.sub("", text[:OUTPUT_LIMIT])
    return _CONTROLS.sub("", text)


def _values(notice: Notice, escape: Callable[[str], str]) -> dict[str, Any]:
    """What a template may name; docs/events.md lists it."""
    texts = {
        "id": notice.id,
        "kind": notice.kind,
        "state": notice.state,
        "headline": notice.headline,
        "element": notice.element,
        "region": notice.region,
        "place": notice.place,
        "group": notice.group,
        "was": notice.was,
        "level": notice.level,
        "severity": notice.severity,
        "time": notice.at,
        "told_time": timestamp(notice.told_at_us) if notice.told_id else "",
        "told_level": notice.told_level,
        "poll": notice.poll,
        "phase": notice.phase,
        "outcome": notice.outcome,
        "message": notice.message,
        "side": notice.side,
        "code": notice.code,
        "stage": notice.stage,
        "change": notice.change,
    }
    values: dict[str, Any] = {name: escape(str(text)) for name, text in texts.items()}
    values["regions"] = {escape(region): level for region, level in notice.regions.items()}
    values["region_texts"] = [escape(text) for text in notice.region_texts]
    values["reasons"] = {
        escape(region): {name: escape(text or "") for name, text in reason.items()}
        for region, reason in notice.reasons.items()
    }
    row = {**_NO_ALERT, **notice.alert}
    values["alert"] = {name: escape(it) if isinstance(it, str) else it for name, it in row.items()}
    return values | {"at": notice.at_us / 1e6, "is_monitor": notice.is_monitor}


# What a template may name of an alert in any case. Details are a mapping, and of no use in a text.
_NO_ALERT: dict[str, Any] = {
    name: 0 if isinstance(value, int) else ""
    for name, value in alert_of({}, at_us=0).as_data().items()
    if name != "Details"
}


class _Sandbox(ImmutableSandboxedEnvironment):
    """No product of a text and a number: it could be larger than memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise TypeError(f"{operator} is for numbers")
        if operator == "**":
            raise TypeError("** is not available")
        return super().call_binop(context, operator, left, right)


_ENVIRONMENT = _Sandbox(
    undefined=StrictUndefined, autoescape=False, trim_blocks=False, keep_trailing_newline=True
)

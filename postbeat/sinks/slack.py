"""The sink ``slack``: a text to an incoming webhook as Slack, Mattermost and others have them."""

from __future__ import annotations

import json

from postbeat.sinks.channel import Channel
from postbeat.sinks.config import SlackSink
from postbeat.sinks.http import Poster
from postbeat.sinks.notice import Notice
from postbeat.sinks.template import SLACK_TEXT, Template


class SlackChannel(Channel):
    """Posts texts."""

    def __init__(self, sink: SlackSink) -> None:
        self._text = Template(sink.text, SLACK_TEXT, escaped)
        self._poster = Poster(sink.url, None, sink.timeout)

    async def deliver(self, notice: Notice) -> None:
        """Posts the text of the event."""
        text = self._text.render(notice)
        await self._poster.post(json.dumps({"text": text}, ensure_ascii=False).encode(), {})

    async def close(self) -> None:
        """Closes the connections."""
        await self._poster.close()


def escaped(text: str) -> str:
    """A text as it stands in a message of Slack: what a mail server says must not call a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""What the properties of a monitor do to the message, and that an element's own values win over them."""

from __future__ import annotations

from pathlib import Path

from postbeat import settings
from postbeat.clock import Clock
from postbeat.ism import props
from postbeat.ism.propsfile import parse
from postbeat.lag import LagMeter
from postbeat.model import Kind
from postbeat.secrets import Keys
from postbeat.sending import Sender
from tests.servers.conftest import Run
from tests.servers.test_smtp_message import Taker, sent

KEYS = Keys.new()


def said(taker: Taker) -> tuple[str, bool, str]:
    """The name in From, whether the tracking data is in the header, and the last line of the text."""
    text = str(taker.mail.get_content())
    return str(taker.mail["From"]).partition(" <")[0], "X-Postbeat" in taker.mail, text.splitlines()[-1]


def test_an_elements_own_values_win_over_the_properties(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ours.txt").write_text("Of the properties.\n")
    (tmp_path / "own.txt").write_text("Of the element.\n")
    file = parse('Originator : "Ours"\nUseBody : 1\nMailMessage : "$FOLDER/ours.txt"\n', "smtp.props")
    resolved = props.resolve(Kind.SMTP, arguments={}, environ={"FOLDER": str(tmp_path)}, file=file)
    sender = Sender.of(settings.load({}, **props.settings_of(resolved)), KEYS, Clock(), LagMeter(), "w")

    async def test() -> None:
        ours, own = Taker(), Taker()
        await sent(ours, sender)
        assert said(ours) == ("Ours", False, "Of the properties.")
        await sent(own, sender, originator="Own", usebody=0, mailmessage=str(tmp_path / "own.txt"))
        assert said(own) == ("Own", True, "Of the element.")

    run(test())

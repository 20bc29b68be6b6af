"""XML as small nodes that know their lines. What an entity or a DTD could do is refused."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler, LexicalHandler, property_lexical_handler
from xml.sax.xmlreader import AttributesImpl, InputSource, Locator

from defusedxml.common import DefusedXmlException
from defusedxml.sax import make_parser

from postbeat.ism.transfer.report import Effect, TransferError
from postbeat.ism.transfer.rows import Reading

_DEPTH_LIMIT = 16
NODE_LIMIT = 2_000_000  # of elements and attributes together


@dataclass(slots=True)
class Node:
    """An element of XML, from its first to its last line; names are without prefixes."""

    tag: str
    line: int
    attributes: list[tuple[str, str]]
    last: int = 0
    text: str = ""
    children: list[Node] = field(default_factory=list)


def parse(data: bytes, reading: Reading) -> Node:
    """The root of a document. Comments and processing instructions go into ``reading``.

    Raises:
        TransferError: it is not well-formed, has a DTD or entities, or is nested or long beyond limits.
    """
    gathering = _Gathering(reading)
    parser = make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(gathering)
    parser.setProperty(property_lexical_handler, _Comments(gathering))
    source = InputSource()
    source.setByteStream(io.BytesIO(data))
    try:
        parser.parse(source)
    except SAXParseException as error:
        column = (error.getColumnNumber() or 0) + 1
        reading.fault(error.getLineNumber() or 1, "", f"not XML: {error.getMessage()} (column {column})")
    except DefusedXmlException:
        reading.fault(gathering.line, "", "a document type and entities are not taken: leave out <!DOCTYPE>")
    except (ValueError, LookupError) as error:  # of an encoding that Python has not
        reading.fault(gathering.line, "", f"not XML: {error}")
    if gathering.root is None or reading.faults:
        raise TransferError(reading.faults)
    return gathering.root


class _Gathering(ContentHandler):
    """Makes nodes of what the parser finds."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.root: Node | None = None
        self.reading = reading
        self._locator: Locator | None = None
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._count = 0

    @property
    def line(self) -> int:
        """The line that the parser is in."""
        return (self._locator.getLineNumber() if self._locator else None) or 1

    def setDocumentLocator(self, locator: Locator) -> None:
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        self._count += 1 + len(attrs)
        if self._count > NODE_LIMIT or len(self._open) == _DEPTH_LIMIT:
            limits = f"{NODE_LIMIT} elements and attributes, nested {_DEPTH_LIMIT} deep"
            self.reading.fault(self.line, "", f"expected at most {limits}")
            raise TransferError(self.reading.faults)
        # A declaration of a namespace says nothing of an element of ours.
        pairs = [(_local(key), text) for key, text in attrs.items() if not key.startswith("xmlns")]
        node = Node(_local(name), self.line, pairs)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def endElement(self, name: str) -> None:
        node = self._open.pop()
        node.text = "".join(self._texts.pop())
        node.last = self.line

    def characters(self, content: str) -> None:
        self._texts[-1].append(content)

    def processingInstruction(self, target: str, data: str) -> None:
        self.reading.note(Effect.LEFT_OUT, self.line, target, "a processing instruction")


class _Comments(LexicalHandler):
    """Accounts for comments."""

    def __init__(self, gathering: _Gathering) -> None:
        self._gathering = gathering

    def comment(self, content: str) -> None:
        line = self._gathering.line
        self._gathering.reading.span(line, line + content.count("\n"), "comment")


def _local(name: str) -> str:
    return name.rpartition(":")[2]

"""The XML form: profiles of elements, with their fields as attributes or as elements within them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace

from postbeat.ism.transfer import fields
from postbeat.ism.transfer.fields import PROFILE, REPEATABLE, Form
from postbeat.ism.transfer.report import Effect, TransferError
from postbeat.ism.transfer.rows import Given, Reading, Said
from postbeat.ism.transfer.values import NO_VALUE, encoded, is_said
from postbeat.ism.transfer.xmltree import Node, parse

EXTENSION = "postbeat"  # the element within an element that holds what only we have

_CONTAINERS = ("ism", "profiles", "profile", "elements", "profileelements", "monitors")
_ELEMENTS = ("element", "profileelement", "test", "monitor")
_NAMED = ("field", "parameter", "param", "property")  # <field name="port" value="25"/>
_GROUPS = ("fields", "parameters", "properties", "configuration")


def read(data: bytes, file: str) -> Reading:
    """What an XML file holds.

    Raises:
        TransferError: it is not XML, or has too many faults.
    """
    reading = Reading(file)
    root = parse(data, reading)
    if fields.normalised(root.tag) not in _CONTAINERS:
        expected = "<ism>, <profiles>, <profile> or <elements>"
        reading.fault(root.line, root.tag, f"expected the outermost element to be {expected}")
        raise TransferError(reading.faults)
    _container(root, "", reading)
    return reading


def write(profile: str, elements: Sequence[Said]) -> str:
    """An XML text of the elements of a profile."""
    root = ET.Element("ism")
    parent = ET.SubElement(root, PROFILE, {"name": encoded(profile)})
    for it in elements:
        element = ET.SubElement(parent, it.kind)
        for name, text in it.given.items():
            if fields.form_of(name) is Form.LEVELS:
                ET.SubElement(element, name).text = text
            else:
                element.set(name, text)
        if it.extension:
            said = {name: "" if text == NO_VALUE else text for name, text in it.extension.items()}
            ET.SubElement(element, EXTENSION, said)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _container(node: Node, profile: str, reading: Reading) -> None:
    """Goes through what may hold elements."""
    for key, text in node.attributes:
        named = fields.normalised(node.tag) == PROFILE and fields.normalised(key) in ("name", "profilename")
        if named:
            profile = text
        elif text.strip():
            reading.note(Effect.LEFT_OUT, node.line, key, f"an attribute of <{node.tag}>")
    reading.span(node.line, node.line, "outer tag")
    _no_text(node, reading)
    for child in node.children:
        tag = fields.normalised(child.tag)
        if tag in _CONTAINERS:
            _container(child, profile, reading)
        elif _is_element(child):
            _element(child, profile, reading)
        elif tag == "name" and fields.normalised(node.tag) == PROFILE:
            profile = child.text.strip()
            reading.span(child.line, child.last, "outer tag")
        else:
            reading.note(Effect.LEFT_OUT, child.line, child.tag, "an element that is none of a profile")
            reading.span(child.line, child.last, "left out")
    if node.last > node.line:
        reading.span(node.last, node.last, "outer tag")


def _is_element(node: Node) -> bool:
    tag = fields.normalised(node.tag)
    named = fields.kind_of(node.tag) is not None or fields.is_other_monitor(node.tag)
    return tag in _ELEMENTS or named


def _element(node: Node, profile: str, reading: Reading) -> None:
    generic = fields.normalised(node.tag) in _ELEMENTS
    cells = list(_cells(node, reading))
    reading.element(node.line, node.last, cells, "" if generic else node.tag, profile)


def _cells(node: Node, reading: Reading) -> Iterator[Given]:
    """The values of an element: its attributes, and the elements within it."""
    for key, text in node.attributes:
        yield Given(key, text, node.line)
    _no_text(node, reading)
    for child in node.children:
        tag = fields.normalised(child.tag)
        if tag == EXTENSION:
            yield from map(_explicit, _cells(child, reading))
        elif tag in _GROUPS:
            yield from _cells(child, reading)
        elif tag in _NAMED:
            yield from _named(child, reading)
        else:
            yield from _child(child, reading)


def _explicit(cell: Given) -> Given:
    """A value of our extension: where it is empty there is none; elsewhere nothing is said by that."""
    return cell if is_said(cell.text) else replace(cell, text=NO_VALUE)


def _named(node: Node, reading: Reading) -> Iterator[Given]:
    """A field whose name is an attribute."""
    attributes = {fields.normalised(key): text for key, text in node.attributes}
    name = attributes.pop("name", "")
    text = attributes.pop("value", node.text)
    if not name:
        reading.fault(node.line, node.tag, "expected an attribute name")
    elif attributes or node.children:
        reading.fault(node.line, node.tag, "expected the attributes name and value, or a text, and no more")
    else:
        yield Given(name, text, node.line)


def _child(node: Node, reading: Reading) -> Iterator[Given]:
    """A field that is an element; one that may be a list may have an element for each of its texts."""
    name = fields.field_of(node.tag)
    repeatable = name is not None and fields.form_of(name) in REPEATABLE
    for key, text in node.attributes:
        if text.strip():
            reading.note(Effect.LEFT_OUT, node.line, f"{node.tag} {key}", "an attribute of a field")
    if node.children and repeatable:
        _no_text(node, reading)
        for child in node.children:
            yield Given(node.tag, child.text, child.line)
            _nothing_within(child, reading)
        return
    yield Given(node.tag, node.text, node.line)
    for child in node.children:
        reading.note(Effect.LEFT_OUT, child.line, f"{node.tag}/{child.tag}", "an element within a field")


def _nothing_within(node: Node, reading: Reading) -> None:
    """Accounts for what an item of a list cannot have."""
    for key, _ in node.attributes:
        reading.note(Effect.LEFT_OUT, node.line, f"{node.tag} {key}", "an attribute of a field")
    for child in node.children:
        reading.note(Effect.LEFT_OUT, child.line, f"{node.tag}/{child.tag}", "an element within a field")


def _no_text(node: Node, reading: Reading) -> None:
    if node.text.strip():
        reading.note(Effect.LEFT_OUT, node.line, node.tag, "text between elements")

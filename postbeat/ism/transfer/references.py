"""Secrets of the input as references, so that no password is written where it need not be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from postbeat.elements import Element
from postbeat.ism.transfer.drafts import Draft, needs_password
from postbeat.ism.transfer.naming import Taken, variable_from
from postbeat.ism.transfer.report import Effect, Variable
from postbeat.ism.transfer.values import secret_of
from postbeat.model import Secret

_HIDDEN = re.compile(r"[*\u2022\u25cf]+")  # what programs show in the place of a password


@dataclass(slots=True)
class References:
    """Gives each secret its reference, and keeps which variables must be set."""

    literal: bool = False
    variables: list[Variable] = field(default_factory=list)
    _taken: Taken = field(default_factory=Taken)

    def settle(self, drafts: Sequence[Draft]) -> None:
        """Puts the secrets of all elements into their values."""
        found = [(draft, name, _secret(draft, name)) for draft in drafts for name in Element.SECRETS]
        given = [(draft, name, secret) for draft, name, secret in found if secret is not None]
        self._taken = Taken(secret.value for _, _, secret in given if secret.source == "env")
        for draft, name, secret in given:
            self._settle(draft, name, secret)
        for draft in drafts:
            if needs_password(draft.kind, draft.values):
                self._refer(draft, "password")
                draft.note(
                    Effect.REMARK, "password", "none is given: it is taken from an environment variable"
                )

    def _settle(self, draft: Draft, name: str, secret: Secret) -> None:
        if secret.source == "env":
            self.variables.append(Variable(secret.value, draft.name, name))
        if secret.source != "literal":
            draft.values[name] = {secret.source: secret.value}
        elif _HIDDEN.fullmatch(secret.value):
            self._refer(draft, name)
            draft.note(Effect.REMARK, name, "it is hidden in the file: set the environment variable")
        elif self.literal:
            draft.values[name] = secret.value
            draft.note(Effect.REMARK, name, "it stands in the profile as it is, which only you may read")
        else:
            self._refer(draft, name)
            draft.note(
                Effect.CHANGES, name, "it is left in the file: the profile names an environment variable"
            )

    def _refer(self, draft: Draft, name: str) -> None:
        variable = self._taken.unique(variable_from(draft.name, name), "_")
        draft.values[name] = {"env": variable}
        self.variables.append(Variable(variable, draft.name, name))


def _secret(draft: Draft, name: str) -> Secret | None:
    cell = draft.row.given.get(name)
    return secret_of(cell.text) if cell is not None else None

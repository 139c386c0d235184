"""One person's rows through REST, on this search head and in its cluster's outbox.

Not promised: rows that another search head has not moved to the cluster's outbox yet. The reply names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from irmcore.errors import ConfigurationError
from irmcore.intake.accept import CONTENT_TYPE
from irmcore.operations import person
from irmcore.operations.connectors import profile_of
from irmcore.outbox import Outbox
from irmcore.shaping.batches import halves

from irmsplunk.cluster.cluster import Backlog

_ERASE = "`POST irmexport/person/erase` with name and why erases what is not in the audit."
_PLACE = ("connector", "what", "state", "count")
#: What erasing counts.
_COUNTED = ("unsent", "sent", "refused", "held")


class PersonRoutes:
    """The outboxes, and what each member of the cluster has not moved there."""

    def __init__(self, outboxes: Iterable[Outbox], backlogs: Iterable[Backlog], here: str) -> None:
        """``here`` is the name of this search head."""
        self._outboxes = list(outboxes)
        self._elsewhere = [one.member for one in backlogs if one.batches and one.member != here]

    def find(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Where rows are that have the form's ``name``, and how many: not the rows themselves."""
        found = self._found(_pattern(form))
        return self._reply(found, _ERASE if found else "")

    def erase(self, form: Mapping[str, str], *, by: str, why: str) -> dict[str, Any]:
        """Erase the rows; returns how many those were, and what is left."""
        who, done = _pattern(form), dict.fromkeys(_COUNTED, 0)
        for outbox in self._outboxes:
            if any(one.kind != person.AUDIT for one in person.find(outbox, who)):
                erased = person.erase(outbox, who, {CONTENT_TYPE: halves}, by=by, why=why)
                done = {key: count + getattr(erased, key) for key, count in done.items()}
        left = self._found(who)
        batches = [one.batch.id[:12] for _, one in left if one.batch is not None]
        steps = [
            f"Run `irmexport resolve {batch} --withdraw --why REASON`, then erase again." for batch in batches
        ]
        return {**done, **self._reply(left, *steps)}

    def _found(self, who: re.Pattern[str]) -> list[tuple[Outbox, person.Found]]:
        return [(outbox, one) for outbox in self._outboxes for one in person.find(outbox, who)]

    def _reply(self, found: list[tuple[Outbox, person.Found]], *steps: str) -> dict[str, Any]:
        rows = [
            dict(zip(_PLACE, (profile_of(outbox) or outbox.name, one.kind, one.state, len(one.values))))
            for outbox, one in found
        ]
        if self._elsewhere:
            hosts = ", ".join(self._elsewhere)
            steps += (
                f"Rows on {hosts} are not in the cluster's outbox yet: when they are, send this again.",
            )
        return {"found": rows, "next_step": " ".join(filter(None, steps))}


def _pattern(form: Mapping[str, str]) -> re.Pattern[str]:
    names = [one.strip() for one in form.get("name", "").split(",")]
    if not any(one and not one.isdigit() for one in names):
        raise ConfigurationError(
            "`name` names nobody",
            where="name",
            next_step="Send name=anna@contoso.com, or several names with commas.",
        )
    return person.pattern(names)

"""The kinds of connector, one module each. To add one, copy a neighbour and name it in ``KINDS``."""

from __future__ import annotations

from irmcore.profile.kinds import hr, insider_risk_indicators
from irmcore.profile.kinds.model import Field, Kind, Scenario

#: By the name that a profile gives as `connector.kind`.
KINDS = {kind.name: kind for kind in (insider_risk_indicators.KIND, hr.KIND)}

__all__ = ["KINDS", "Field", "Kind", "Scenario"]

"""How a task is treated after what it did, as its status shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from doorward.api.v1alpha1.base import Observed
from doorward.api.v1alpha1.fields import Timestamp


class Conduct(Observed):
    """The grade of a task. The ledger holds it; no authority is ever read from here."""

    grade: Annotated[str, StringConstraints(max_length=16)] = "Calm"
    """Calm; Slow: fewer calls; Cautious: besides, what changes something needs a person; Frozen: nothing."""
    cause: Annotated[str, StringConstraints(max_length=64)] | None = None
    """One word for why: SessionTheft, FenceBreach, Replays, Denials, Bursts or Epoch."""
    story: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """What happened, in a sentence."""
    since: Timestamp | None = None
    """Since when."""

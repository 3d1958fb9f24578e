"""The forge connector: issues and files of Gitea and GitHub behind one vocabulary."""

from doorward.connectors.forge.dialects import DIALECTS, dialect
from doorward.connectors.forge.verbs import VERBS

__all__ = ["DIALECTS", "VERBS", "dialect"]

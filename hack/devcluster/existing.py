"""The provider for a cluster that is already there: KUBECONFIG's. Nothing is made or removed."""

import os
import shutil
from pathlib import Path

from devcluster.commands import CommandError, run
from devcluster.kubectl import Kubectl
from devcluster.settings import Layout


class Existing:
    """Somebody else's cluster; it has no forge of ours."""

    name = "existing"
    programs = ("kubectl", "helm")

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def up(self) -> None:
        """Copy the access into the state folder.

        Raises:
            CommandError: When KUBECONFIG names no file.

        """
        given = Path(os.environ.get("KUBECONFIG", ""))
        if not given.is_file():
            raise CommandError("the provider `existing` needs KUBECONFIG to name a file")
        self.layout.make()
        if given != self.layout.kubeconfig:
            shutil.copyfile(given, self.layout.kubeconfig)
            self.layout.kubeconfig.chmod(0o600)

    def down(self) -> None:
        """Forget the cluster."""
        run("rm", "-rf", self.layout.state, self.layout.run)

    def facts(self) -> dict[str, str]:
        """Nothing is known about it."""
        return {}

    def load(self, archives: list[Path]) -> None:
        """Impossible here.

        Raises:
            CommandError: Always.

        """
        raise CommandError(
            f"push {', '.join(map(str, archives))} to a registry that the cluster can pull from"
        )

    def checks(self) -> dict[str, bool]:
        """Whether it answers."""
        return {"api ready": self.layout.kubeconfig.exists() and Kubectl(self.layout.kubeconfig).ready()}

"""A real Gitea beside the cluster: HTTPS, seeded, with one account per duty."""

from devcluster.forge.run import down, facts, healthy, up

__all__ = ["down", "facts", "healthy", "up"]

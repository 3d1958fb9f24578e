"""The provider for Linux machines without Docker: a whole Kubernetes node in a network namespace of its own."""

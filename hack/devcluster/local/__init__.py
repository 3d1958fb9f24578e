"""The provider for Linux without Docker: a whole Kubernetes node in a network namespace of its own."""

"""What the published OpenAPI documents of Kubernetes say about pods, as one small table."""

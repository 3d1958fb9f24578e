"""The custom resources: what people write and read with kubectl."""

"""The admission webhook: no pod that holds or reaches a secret gets into an enrolled namespace."""

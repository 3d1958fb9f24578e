"""What the demo and the e2e tier share: install Doorward on a cluster, run tasks, read the evidence."""

"""The domain: values and pure functions. Imports nothing that does I/O."""

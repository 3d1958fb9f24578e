"""One module per version, never changed after a release."""

"""Container images of every part: one Containerfile, wheels from locks, tags that say what is inside."""

"""The Compose Specification: files in, one settled stack file out. Knows no host and no target."""

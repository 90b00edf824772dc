"""One document becomes what it means: short forms written out, defaults, names, selection."""

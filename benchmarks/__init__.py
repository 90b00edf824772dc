"""How fast it is, measured on real containers. Numbers are reported, never asserted."""

"""The program: speaks to people, stores what they want, and loops until it is so."""

__version__ = "0.1.0"

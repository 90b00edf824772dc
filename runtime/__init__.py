"""Touches the host: containers, images, networks and volumes, as drivers that know no stack.

What a stack, a service or a plan is, is decided elsewhere; this package could be taken out
and used alone. Its face is the protocols in :mod:`runtime.drivers`, the nouns in
:mod:`runtime.types` and the refusals in :mod:`runtime.errors`.
"""

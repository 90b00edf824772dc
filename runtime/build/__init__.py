"""Images from Dockerfiles: buildah, in a room of its own.

``room`` and ``gate`` are programs of their own: what they import is kept small.
"""

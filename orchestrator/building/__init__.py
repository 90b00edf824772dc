"""The client's part of a build: what is asked for, and what of the disk goes along.

Everything here runs with the rights of the person who typed the command. The daemon gets the
Dockerfile's text, the packed contexts and what secrets hold; it is told no path of the host.
"""

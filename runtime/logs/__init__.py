"""The log of a replica: files, turned over and compressed, read, searched and forwarded."""

from runtime.logs.changes import Changes
from runtime.logs.floods import Flood
from runtime.logs.forwarder import Forwarded, Waiting
from runtime.logs.keeping import LogKeeper
from runtime.logs.losses import Loss
from runtime.logs.merging import Entry, MergedLogs
from runtime.logs.reading import EVERYTHING, LogReader, Place, Range
from runtime.logs.records import NANO, Line
from runtime.logs.targets import LocalSockets

__all__ = [
    "EVERYTHING",
    "NANO",
    "Changes",
    "Entry",
    "Flood",
    "Forwarded",
    "Line",
    "LocalSockets",
    "LogKeeper",
    "LogReader",
    "Loss",
    "MergedLogs",
    "Place",
    "Range",
    "Waiting",
]

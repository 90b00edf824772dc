"""Files of variables: ``.env``, ``--env-file``, ``env_file``, ``label_file``."""

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath

from orchestrator.spec.problems import Mark, Source, refuse
from orchestrator.spec.reading.files import read_file
from orchestrator.spec.tree import Map, Origin
from orchestrator.spec.values.dotenv import DotenvError, parse_dotenv, parse_raw
from orchestrator.spec.values.interpolate import InterpolationError


def read_variables(
    path: FilePath,
    lookup: Mapping[str, str],
    warn: Callable[[str], None],
    *,
    step: str | None = None,
    raw: bool = False,
) -> Map:
    """Return the variables of a file; with ``step``, why it is read, they know their places.

    Raises SpecError with file and line.
    """

    def missing(name: str) -> None:
        warn(f"{path}: the variable `{name}` is not set, a blank string is used")

    def placed(name: str, at: int) -> None:
        if step:
            found.marks[name] = Origin(source, at, way=(step,))

    found = Map()
    text = read_file(path)
    source = Source(str(path), text if raw else text.replace("\r\n", "\n"))
    try:
        if raw:
            found.update(parse_raw(text, lookup, placed=placed))
        else:
            found.update(parse_dotenv(text, lookup, missing=missing, placed=placed))
        return found
    except DotenvError as error:
        raise refuse(str(error), Mark(file=str(path), line=error.line, column=1)) from None
    except InterpolationError as error:
        raise refuse(str(error), Mark(file=str(path))) from None

"""What a Dockerfile needs before it can be built: images, and nothing this builder cannot do.

Only as much of the format is read as that takes (docs.docker.com, Dockerfile reference); what
an instruction means is the builder's business. Pure.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from runtime.errors import InvalidError, UnsupportedError

ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*")
DIRECTIVE = re.compile(r"#\s*[a-zA-Z][a-zA-Z0-9]*\s*=.*")
VARIABLE = re.compile(
    r"\$(?:(?P<plain>[a-zA-Z_][a-zA-Z0-9_]*)"
    r"|\{(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)(?::(?P<how>[-+])(?P<word>[^}]*))?\})"
)
HEREDOC = re.compile(r"(?:^|\s)<<-?[\"']?[a-zA-Z_]")
SCRATCH = "scratch"


@dataclass(slots=True)
class Stage:
    """A ``FROM`` and what follows it."""

    line: int
    base: str
    name: str = ""
    platform: str = ""
    sources: list[str] = field(default_factory=list)
    """What ``--from`` and ``from=`` name: stages, contexts, or images."""
    mounted: list[str] = field(default_factory=list)
    """Those of ``sources`` a step has mounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What has to be there, and how the builder must be asked."""

    images: tuple[str, ...]
    """References, as they are written."""
    platforms: tuple[str, ...] = ()
    """What ``FROM --platform`` asks for."""
    mounts_stages: bool = False
    """A step has a stage mounted."""


def read_needs(
    text: str, args: Mapping[str, str], target: str = "", contexts: Collection[str] = ()
) -> Needs:
    """Return what building ``target``, else the last stage, needs.

    ``contexts`` are the named ones, which hide stages and images. Raises InvalidError for what
    is no Dockerfile, UnsupportedError for what no builder here understands.
    """
    stages = _stages(text, args)
    if not stages:
        raise InvalidError("build from", "Dockerfile", "it has no FROM", code="dockerfile")
    wanted = [_index(stages, target)] if target else [len(stages) - 1]
    images: set[str] = set()
    seen: set[int] = set()
    while wanted:
        number = wanted.pop()
        if number in seen:
            continue
        seen.add(number)
        stage = stages[number]
        for name, base in ((stage.base, True), *((one, False) for one in stage.sources)):
            if name in contexts:
                continue
            earlier = _earlier(stages, name, number, base=base)
            if earlier is not None:
                wanted.append(earlier)
            elif name != SCRATCH:
                images.add(name)
    used = [stages[number] for number in sorted(seen)]
    return Needs(
        images=tuple(sorted(images)),
        platforms=tuple(dict.fromkeys(one.platform for one in used if one.platform)),
        mounts_stages=any(
            _earlier(stages, name, number, base=False) is not None
            for number in seen
            for name in stages[number].mounted
            if name not in contexts
        ),
    )


def _index(stages: list[Stage], target: str) -> int:
    for number, stage in enumerate(stages):
        if target.lower() == stage.name.lower() or target == str(number):
            return number
    names = ", ".join(stage.name for stage in stages if stage.name) or "none has a name"
    raise InvalidError(
        "build target", target, "there is no such stage", hint=f"there are {names}", code="target"
    )


def _earlier(stages: list[Stage], name: str, before: int, *, base: bool) -> int | None:
    for number in reversed(range(before)):
        if stages[number].name and stages[number].name.lower() == name.lower():
            return number
    return int(name) if not base and name.isdigit() and int(name) < before else None


def _stages(text: str, args: Mapping[str, str]) -> list[Stage]:
    stages: list[Stage] = []
    variables: dict[str, str] = {}
    for line, word, rest in _instructions(text):
        if word == "ARG" and not stages:
            for entry in rest.split():
                name, given, default = entry.partition("=")
                value = args.get(name, _filled(_bare(default), variables) if given else None)
                if value is not None:
                    variables[name] = value
        elif word == "FROM":
            stages.append(_from(line, rest, {**_platform_args(), **variables}))
        elif word in ("COPY", "ADD", "RUN") and stages:
            _sources(word, rest, stages[-1])
        elif word != "ARG" and not stages:
            raise InvalidError(
                "build from",
                f"Dockerfile line {line}",
                f"`{word[:40]}` comes before the first FROM",
                code="dockerfile",
            )
    return stages


def _from(line: int, rest: str, variables: Mapping[str, str]) -> Stage:
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    words = [_filled(_bare(word), variables) for word in words if not word.startswith("--")]
    named = len(words) == 3 and words[1].upper() == "AS"
    if not (named or len(words) == 1) or not words[0]:
        raise InvalidError(
            "build from",
            f"Dockerfile line {line}",
            f"`FROM {rest[:60]}` names no image",
            hint="a variable in it needs a default before the first FROM, or a build argument",
            code="dockerfile",
        )
    platform = next((one.partition("=")[2] for one in flags if one.startswith("--platform=")), "")
    return Stage(line, words[0], words[2] if named else "", _filled(platform, variables))


def _sources(word: str, rest: str, stage: Stage) -> None:
    for flag in rest.split():
        if not flag.startswith("--"):
            break
        name, _, value = flag.partition("=")
        if name == "--from" and word in ("COPY", "ADD"):
            stage.sources.append(_bare(value))
        elif name == "--mount" and word == "RUN":
            pairs = dict(part.partition("=")[::2] for part in _bare(value).split(","))
            if pairs.get("from"):
                stage.sources.append(pairs["from"])
                stage.mounted.append(pairs["from"])


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, instruction and the rest of every instruction, continued lines joined."""
    lines = text.removeprefix("\ufeff").splitlines()
    escape = "\\"
    for line in lines:
        if not DIRECTIVE.fullmatch(line.strip()):
            break
        if found := ESCAPE.fullmatch(line.strip()):
            escape = found.group(1)
    joined, start = "", 0
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            continue
        start = start or number
        if stripped.endswith(escape):
            joined += stripped[:-1] + " "
            continue
        word, _, rest = (joined + stripped).strip().partition(" ")
        word = word.upper()
        if word in ("RUN", "COPY", "ADD") and HEREDOC.search(rest):
            raise UnsupportedError(
                "build from",
                f"Dockerfile line {start}",
                "this builder does not know here-documents (`<<`)",
                hint="write the lines with `&& \\`, or COPY a file",
            )
        yield start, word, rest.strip()
        joined, start = "", 0
    if joined.strip():
        word, _, rest = joined.strip().partition(" ")
        yield start, word.upper(), rest.strip()


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        given = variables.get(found["plain"] or found["name"], "")
        if found["how"] == "-":
            return given or found["word"]
        if found["how"] == "+":
            return found["word"] if given else ""
        return given

    return VARIABLE.sub(value, text)


def _bare(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _platform_args() -> dict[str, str]:
    from runtime.platforms import this_platform

    here = this_platform()
    full = f"{here.os}/{here.architecture}"
    found: dict[str, str] = {}
    for side in ("BUILD", "TARGET"):
        found |= {
            f"{side}PLATFORM": full,
            f"{side}OS": here.os,
            f"{side}ARCH": here.architecture,
            f"{side}VARIANT": "",
        }
    return found

"""What is written so that others read it otherwise, and what nobody reads."""

import re
from collections.abc import Iterator

from orchestrator.lint.findings import Edit, Finding, Rule, Rules, Subject
from orchestrator.spec.tree import Map, Origin, Path, Seq

UNUSED = Rules()
Found = Iterator[tuple[Path, str, str]]

PLAIN = re.compile(r"""(?P<word>[^\s,\[\]{}#&*!|>'"%@`]+)(?=[ \t]*(\#.*)?(\r?\n|\Z|[,\]}]))""")
"""A plain word with nothing behind it."""
AMBIGUOUS = re.compile(r"[0-9]+(:[0-5]?[0-9])+|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF")
"""Words that YAML 1.1, which many tools still read, takes for numbers and truth values."""
OCTAL = re.compile(r"0[0-7]+")
AFTER_KEY = re.compile(r"""[^\s:'"]+:[ \t]+""")


def ambiguous(subject: Subject) -> Iterator[Finding]:
    """Find words that need quotes to be the same for every reader."""
    for path, origin, index, word in _plain_words(subject.tree):
        if AMBIGUOUS.fullmatch(word):
            yield Finding(
                rule=QUOTES.name,
                path=path,
                text=f"`{word}` is a number or a truth value for readers of YAML 1.1",
                hint=f'write `"{word}"`',
                origin=origin,
                edit=Edit(origin.source.file, index, word, f'"{word}"'),
            )


def octal(subject: Subject) -> Iterator[Finding]:
    """Find numbers that are not what they look like; rights of files are written this way."""
    for path, origin, _, word in _plain_words(subject.tree):
        if OCTAL.fullmatch(word) and path[-1] != "mode":
            yield Finding(
                rule=ZEROS.name,
                path=path,
                text=f"`{word}` is read as an octal number: {int(word, 8)}",
                hint=f'write `"{word}"` if that is not meant',
                origin=origin,
            )


QUOTES = Rule("needs-quotes", "a plain word that other readers of YAML take otherwise", ambiguous)
ZEROS = Rule("octal-number", "a number that begins with 0 and is read with base 8", octal)


@UNUSED.add("unused", "a network, volume, config or secret that no service uses")
def unused(subject: Subject) -> Found:
    """Find what is declared for nobody."""
    stack = subject.stack
    services = stack.services.values()
    used = {
        "networks": {key for service in services for key in service.networks},
        "volumes": {mount.source for service in services for mount in service.volumes},
        "configs": {one.source for service in services for one in service.configs},
        "secrets": {one.source for service in services for one in service.secrets},
    }
    for kind, names in used.items():
        for name in subject.tree.get(kind) or ():
            if name not in names and not (kind == "networks" and name == "default"):
                yield (kind, name), "no service uses it", "leave it out"


def _plain_words(tree: Map) -> Iterator[tuple[Path, Origin, int, str]]:
    """Yield each plain word of the files once: its path, where it or its key stands, its index."""
    seen: set[tuple[str, int]] = set()
    for path, origin, is_entry in _places(tree, ()):
        text, index = origin.source.text, origin.index
        if not is_entry and (key := AFTER_KEY.match(text, index)):
            index = key.end()
        found = PLAIN.match(text, index)
        if found is not None and (origin.source.file, index) not in seen:
            seen.add((origin.source.file, index))
            yield path, origin, index, found["word"]


def _places(tree: object, path: Path) -> Iterator[tuple[Path, Origin, bool]]:
    """Yield every value's path, where it stands, and whether it is an entry of a list."""
    if isinstance(tree, Map):
        for key, value, mark in tree.entries():
            if mark is not None:
                yield (*path, key), mark, False
            yield from _places(value, (*path, key))
    elif isinstance(tree, Seq):
        for number, (value, mark) in enumerate(tree.entries()):
            if mark is not None:
                yield (*path, str(number)), mark, True
            yield from _places(value, (*path, str(number)))

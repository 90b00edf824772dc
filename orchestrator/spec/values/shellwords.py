"""A command line split into words: quotes are honoured, nothing else of a shell is. Pure."""

_ESCAPES = {"t": "\t", "n": "\n"}
_END = ";&|<>"


def split(line: str) -> tuple[tuple[str, ...], str]:
    """Return the words of a command line, and what is left of it from an operator on.

    What stands behind an operator of the shell is no part of the command: there is no shell.
    Raises ValueError.
    """
    words: list[str] = []
    word, quote, begun = "", "", False
    at = 0
    while at < len(line):
        mark = line[at]
        at += 1
        if mark == "\\" and quote != "'":
            if at == len(line):
                raise _broken(line, "ends in a backslash")
            word += _ESCAPES.get(line[at], line[at])
            begun, at = True, at + 1
        elif mark.isspace() and mark in " \t\r\n" and not quote:
            if begun:
                words.append(word)
            word, begun = "", False
        elif mark in "\"'" and quote in ("", mark):
            quote, begun = ("" if quote else mark), begun or bool(quote)
        elif quote in ("'", '"'):
            word, begun = word + mark, True
        elif mark in "()`":
            quote = _group(line, mark, quote, word)
            word, begun = word + mark, True
        elif mark in _END and not quote:
            if mark == ">" and word[:1].isdigit():
                begun = False
            return (*words, *([word] if begun else [])), line[at - 1 :]
        else:
            word, begun = word + mark, True
    if quote:
        raise _broken(line, f"the {quote} is not closed")
    return (*words, *([word] if begun else [])), ""


def _group(line: str, mark: str, quote: str, word: str) -> str:
    """Return what is open after a backtick or parenthesis: what is inside is not split."""
    if mark == "`":
        return quote if quote == "(" else "" if quote else mark
    if quote == "`":
        return quote
    if mark == "(":
        if quote or not word.endswith("$"):
            raise _broken(line, "a `(` means nothing without a shell")
        return "("
    if not quote:
        raise _broken(line, "a `)` means nothing without a shell")
    return ""


def _broken(line: str, cause: str) -> ValueError:
    return ValueError(f"cannot split `{line[:60]}` into words: {cause}; write a list of words")

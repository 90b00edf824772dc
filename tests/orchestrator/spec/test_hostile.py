"""Files made to hurt whoever reads them: refused with a place, cheaply, or read like any other.

Each is read in a process of its own, with little memory and little time: what crashes,
hangs or fills the memory of the parser fails one test and not all.
"""

import json
import os
import re
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.loading import stack_file
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.files import MAX_BYTES, decode, read_file
from orchestrator.spec.reading.yaml import ALLOWED, MAX_DEPTH, MAX_DOCUMENTS, WRITTEN, parse

MEMORY = 64 * 2**20
SECONDS = 5
"""Of processor time, on a slow machine: all of these take a fraction of one."""

READER = """
import json, re, sys
from orchestrator.spec.problems import SpecError
from orchestrator.spec.reading.yaml import parse
def peak():
    with open("/proc/self/status") as status:
        return 1024 * int(re.search("VmHWM:\\s+(\\d+)", status.read())[1])
parse("a: [1, {b: c}]", "warm")
before = peak()
try:
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        said = [None, len(parse(file.read(), "f.yml"))]
except SpecError as error:
    said = [str(error), error.hint]
print(json.dumps([*said, peak() - before]))
"""


def limits():
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.fixture
def read(tmp_path):
    """Parse a text in a process of its own; return what is said and the bytes it took."""

    def read(text):
        file = tmp_path / "f.yml"
        file.write_text(text, newline="")
        done = subprocess.run(
            [sys.executable, "-c", READER, str(file)],
            capture_output=True,
            check=False,
            cwd=Path(__file__).parents[3],
            preexec_fn=limits,
            text=True,
        )
        assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
        return tuple(json.loads(done.stdout))

    return read


def aliases(levels, width):
    """Return lists of aliases of lists of aliases: a few lines that stand for billions."""
    lines = ["l0: &l0 [x]"]
    lines += [
        f"l{new}: &l{new} [{', '.join([f'*l{new - 1}'] * width)}]" for new in range(1, levels)
    ]
    return "\n".join(lines)


def merges(levels, width):
    """Return mappings merged from mappings merged from mappings."""
    lines = ["m0: &m0 {a: 1}"]
    lines += [
        f"m{new}: &m{new} {{<<: [{', '.join([f'*m{new - 1}'] * width)}], k{new}: 1}}"
        for new in range(1, levels)
    ]
    return "\n".join(lines)


BOMBS = {
    "lists": ("[" * 50_000, "nested deeper"),
    "mappings": ("{" * 50_000, "nested deeper|must be text"),
    "mappings in mappings": ("{a: " * 50_000, "nested deeper"),
    "mappings in lists": ("[{a: " * 50_000, "nested deeper"),
    "lists on lines": ("[\n" * 50_000, "nested deeper"),
    "lists behind a quote": ("a: ' [ '\nb: " + "[" * 50_000, "nested deeper"),
    "lists behind a comment": ("a: 1 # ]]]\nb: " + "[" * 50_000, "nested deeper"),
    "entries": ("- " * 50_000, "nested deeper"),
    "keys": ("? " * 50_000, "must be text"),
    "indentation": ("".join(" " * n + "a:\n" for n in range(2_000)), "nested deeper"),
    "aliases upon aliases": (
        "l0: &l0 []\n" + "\n".join(f"l{n}: &l{n} [*l{n - 1}]" for n in range(1, 5_000)),
        "nested deeper",
    ),
    "aliases": (aliases(12, 9), "aliases written out"),
    "merges": (merges(9, 9), "aliases written out"),
    "a cycle": ("a: &a\n  b: *a\n", "contains itself"),
    "values": ("x-a: [" + "a," * 4_000_000 + "]", "too many values"),
    "pairs": ("x-a: [" + "a: b, " * 1_300_000 + "]", "too many values"),
    "documents": ("---\n" * 1_000_000, f"more than {MAX_DOCUMENTS} documents"),
    "equal keys": ("a: 1\n" * 1_000_000, "given twice"),
    "wrong keys": ("1: 1\n" * 1_000_000, "must be text"),
    "bytes": ("x" * (MAX_BYTES + 1), "larger than 10 MB"),
    "an endless quote": ("a: '" + "x" * 8_000_000, "a quote is not closed"),
    "an endless quote of wide letters": (
        "a: '\U0001f600" + "x" * (MAX_BYTES - 10),
        "a quote is not closed",
    ),
    "a value at the mistake": ("a: !" + "x" * 1_000_000 + " 1", "is not allowed here"),
    "a key at the mistake": ("? " + "k" * 1_000_000 + "\n: 1\n" * 2, "not valid YAML"),
    "anchors": ("".join(f"- &a{n} x\n" for n in range(300_000)) + "- *b", "too many values"),
    "tags": ("- !x y\n" * 500_000, "is not allowed here"),
    "directives": ("%TAG !a! b\n" * 1_000 + "--- x", "not valid YAML"),
    "control characters": ("a: " + "\x07" * 1_000_000, r"control character U\+0007"),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS, ids=str)
def test_a_bomb_is_refused_with_a_place_and_little_memory(read, bomb):
    text, cause = BOMBS[bomb]

    said, hint, took = read(text)

    assert said is not None
    assert re.search(cause, f"{said} {hint}")
    assert said.startswith("f.yml:")
    assert len(said.splitlines()[0]) < 4100
    assert took < MEMORY


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1),
        "# " + "[" * 50_000 + "\na: '" + "{" * 50_000 + "'\nb: |\n  " + "[" * 50_000 + "\n",
        "a: " + "9" * 200_000,
        "a: " + "0" * 200_000,
        "a: 0x" + "f" * 200_000,
        "a: 1e" + "9" * 200_000,
        "a: " + "1_" * 200_000,
        "a: '" + "\\" * 1_000_000 + "'",
        "a: |\n" + "  x\n" * 1_000_000,
        aliases(5, 9),
        "".join(f"k{n}: 1\n" for n in range(200_000)),
        "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 50_000 + "]",
        "a: &a {b: 1}\nc: {<<: [" + "*a, " * 50_000 + "]}",
    ],
    ids=[
        *("depth", "brackets that are text", "digits", "zeros", "hexadecimal", "exponent"),
        *(
            "underscores",
            "backslashes",
            "lines",
            "aliases",
            "keys",
            "aliases of a long text",
            "merges",
        ),
    ],
)
def test_what_is_only_large_is_read(read, text):
    said, documents, _ = read(text)

    assert said is None
    assert documents == 1


@pytest.mark.slow
def test_a_file_of_ten_thousand_services_that_say_much_is_read(read):
    said, documents, _ = read(stack_file(10_000))

    assert said is None
    assert documents == 1


def test_a_file_may_hold_more_the_more_is_written_in_it():
    text = "x-a: [" + "{0}, " * (2 * ALLOWED) + "]"

    assert parse(text.format("a" * WRITTEN), "f.yml")
    with pytest.raises(SpecError, match="too many values"):
        parse(text.format("a"), "f.yml")


def test_a_file_of_many_services_that_share_a_base_is_read():
    text = "x: &x {restart: always, deploy: {replicas: 2, mode: global}}\nservices:\n"
    text += "".join(f"  s{n}: {{<<: *x, image: i, command: [a, b]}}\n" for n in range(10_000))

    (document,) = parse(text, "f.yml")

    assert len(document.content["services"]) == 10_000
    assert document.mark(("services", "s9999", "restart")).line == 1


# ── what is no file ──────────────────────────────────────────────────────────────────────────


def fifo(path):
    os.mkfifo(path)


def sparse(path):
    with path.open("wb") as file:
        file.truncate(10 * 2**30)


def listening(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


def linked(target):
    return lambda path: path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "it is a directory"),
        (fifo, "it is a named pipe"),
        (listening, "it is a socket"),
        (sparse, "it is larger than 10 MB"),
        (linked("/dev/zero"), "it is a device"),
        (linked("/dev/tty"), "it is a device"),
        (linked("gone"), "it is a link to `gone`, which does not exist"),
        (linked("f.yml"), "Too many levels of symbolic links"),
        (linked("/proc/self/environ"), "the kernel makes it up"),
        (linked("/proc/kmsg"), "the kernel makes it up"),
        (linked("/sys/kernel/uevent_seqnum"), "the kernel makes it up"),
        (lambda path: path.write_bytes(b"a: \xff\n"), "not valid UTF-8: byte 0xff"),
    ],
)  # fmt: skip
def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path, make, cause):
    file = tmp_path / "f.yml"
    make(file)

    with pytest.raises(SpecError) as refused:
        read_file(file)

    assert str(refused.value).startswith(str(file))
    assert cause in str(refused.value)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "x" * 5000])
def test_a_name_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(SpecError):
        read_file(tmp_path / name)


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "real.yml").write_text("a: 1")
    (tmp_path / "f.yml").symlink_to("real.yml")

    assert read_file(tmp_path / "f.yml") == "a: 1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_the_encoding_it_declares(encoding):
    assert decode("a: é漢😀".encode(encoding), "f") == "a: é漢😀"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"\xff", "1:1"),
        (b"a: 1\nb: \xc3\xa9\xff", "2:5"),
        (b"a: 1\n\x80", "2:1"),
        (b"\xef\xbb\xbfab\xe9", "1:3"),
        (b"a: \xed\xa0\x80", "1:4"),
    ],
)
def test_what_is_no_utf_8_is_told_with_its_place(data, place):
    with pytest.raises(SpecError, match=f"f:{place}: not valid UTF-8"):
        decode(data, "f")


def test_half_a_character_of_utf_16_is_refused():
    with pytest.raises(SpecError, match="not valid UTF-16"):
        decode(b"\xff\xfea", "f")


def test_utf_16_that_does_not_say_so_is_explained():
    with pytest.raises(SpecError) as refused:
        parse(decode("a: 1\n".encode("utf-16-le"), "f"), "f")

    assert str(refused.value).startswith("f:1:2: a NUL byte")
    assert "UTF-16" in refused.value.hint

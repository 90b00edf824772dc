"""Contexts as tarballs."""

import io
import os
import stat
import tarfile

import pytest

from orchestrator.building.ignore import Ignored
from orchestrator.building.pack import Folder, pack
from orchestrator.errors import PyorchError


def packed(*folders):
    data = b"".join(pack([Folder(path, Ignored(rules)) for path, rules in folders]))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: (member, archive.extractfile(member).read() if member.isreg() else b"")
            for member in archive
        }


def test_folders_are_packed_below_their_numbers(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "src").mkdir(parents=True)
    two.mkdir()
    (one / "src" / "app.py").write_text("print(1)")
    (one / "src" / "app.py").chmod(0o755)
    (two / "data").write_bytes(b"x" * 1000)
    found = packed((one, ""), (two, ""))
    assert sorted(found) == ["0", "0/src", "0/src/app.py", "1", "1/data"]
    member, content = found["0/src/app.py"]
    assert (stat.S_IMODE(member.mode), member.uid, content) == (0o755, 0, b"print(1)")
    assert found["1/data"][1] == b"x" * 1000


def test_what_is_left_out_is_not_read(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("k")
    (tmp_path / "secret" / "public").write_text("p")
    assert sorted(packed((tmp_path, "secret"))) == ["0"]
    assert sorted(packed((tmp_path, "secret\n!secret/public"))) == ["0", "0/secret/public"]


def test_links_are_packed_as_links_and_pipes_not_at_all(tmp_path):
    (tmp_path / "link").symlink_to("/etc/shadow")
    os.mkfifo(tmp_path / "pipe")
    found = packed((tmp_path, ""))
    assert sorted(found) == ["0", "0/link"]
    assert found["0/link"][0].linkname == "/etc/shadow"


def test_long_and_strange_names_come_along(tmp_path):
    name = "ü" * 100 + "\n"
    (tmp_path / name).write_text("x")
    assert packed((tmp_path, ""))[f"0/{name}"][1] == b"x"


def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path):
    with pytest.raises(PyorchError, match="cannot be read") as refused:
        list(pack([Folder(tmp_path / "none", Ignored(""))]))
    assert "dockerignore" in refused.value.hint

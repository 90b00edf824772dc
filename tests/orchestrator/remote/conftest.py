"""A repository somebody else keeps, and a cache of one's own."""

import os
import subprocess

import pytest

from orchestrator.remote.fetcher import Fetcher
from orchestrator.spec.load import LoadRequest, load_stack

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}


class Repository:
    """A bare repository, and a tree to commit to it from."""

    def __init__(self, folder):
        self.tree = folder / "work"
        self.bare = folder / "shop.git"
        self.tree.mkdir()
        self.git("init", "-q", "-b", "main", ".")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.bare], check=True)
        self.url = f"file://{self.bare}"

    def git(self, *words):
        done = subprocess.run(
            ["git", *words], cwd=self.tree, env=AUTHOR, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files, *, tag=None, branch="main"):
        """Commit files and push them; return the commit."""
        for name, text in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "c")
        if tag:
            self.git("tag", "-a", tag, "-m", tag)
        self.git("push", "-q", "--tags", str(self.bare), f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """Return an empty repository."""
    folder = tmp_path / "far"
    folder.mkdir()
    return Repository(folder)


@pytest.fixture
def environ(tmp_path):
    """Return the environment of a user with an empty cache."""
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": os.environ["PATH"]}


@pytest.fixture
def load(tmp_path, environ):
    """Load stack files by name, with means to fetch those that are elsewhere."""
    here = tmp_path / "here"
    here.mkdir()

    def load(*names, text=None, **more):
        if text is not None:
            (here / "compose.yaml").write_text(text)
        return load_stack(
            LoadRequest(
                files=names, cwd=here, environ=environ, to_run=False, fetch=Fetcher(environ), **more
            )
        )

    return load

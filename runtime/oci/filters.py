"""Compiled seccomp filters, kept for the next container with the same rules.

crun spends twice as long on compiling a profile as on everything else it does to make a
container, and leaves the result beside its state. That very program is handed back to it,
in the annotation it has for that (crun(1), run.oci.seccomp_bpf_data); the rules stay in
the bundle, for runtimes that compile them.
"""

import base64
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from runtime.files import write_atomic

ANNOTATION = "run.oci.seccomp_bpf_data"
LARGEST = 4096 * 8
"""Bytes of the longest program the kernel takes: 4096 instructions (seccomp(2))."""


class Filters:
    """The programs of one runtime on this kernel. Blocks; used from threads."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        """Keep programs in ``folder``, which belongs to root alone and goes with a reboot."""
        self._folder = folder
        self._known: dict[str, str] = {}
        self._keeping = threading.Lock()
        status = runtime.stat()
        # Another runtime, kernel or version of either compiles anew.
        identity = (runtime.name, status.st_mtime_ns, status.st_size, os.uname().release)
        self._identity = repr(identity)
        self._takes_programs = runtime.name == "crun"

    def add_to(self, bundle: dict[str, Any]) -> str | None:
        """Put the program for a bundle's rules into it; return the rules' key where none is known.

        The key is what :meth:`learn` wants once the container was created.
        """
        rules = bundle["linux"].get("seccomp")
        if rules is None or not self._takes_programs:
            return None
        text = self._identity + json.dumps(rules, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        program = self._find(key)
        if program is None:
            return key
        bundle.setdefault("annotations", {})[ANNOTATION] = program
        return None

    def learn(self, key: str, program: Path) -> None:
        """Keep what the runtime compiled; where it left nothing usable, nothing is kept."""
        try:
            data = program.read_bytes()
        except FileNotFoundError:
            return
        if not data or len(data) > LARGEST or len(data) % 8:
            return
        # Many that start together have compiled the same: the first to come is kept.
        with self._keeping:
            if not (self._folder / key).exists():
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_atomic(self._folder / key, data)

    def _find(self, key: str) -> str | None:
        if key not in self._known:
            try:
                data = (self._folder / key).read_bytes()
            except FileNotFoundError:
                return None
            self._known[key] = base64.b64encode(data).decode()
        return self._known[key]

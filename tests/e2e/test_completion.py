"""Shells complete what is typed, asked the way people's own shells are."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

STACK = """
name: shop
services:
  proxy: {image: busybox, command: [sleep, inf], stop_grace_period: 0s}
  web: {image: busybox, command: [sleep, inf], stop_grace_period: 0s}
  spare: {image: busybox, profiles: [debug]}
"""
BASH = """
source <(pyorch completion bash)
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1)
case "$1" in *" ") COMP_WORDS+=("");; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete pyorch "${COMP_WORDS[-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = "pyorch completion fish | source; complete -C $argv[1]"


def completed(bare, shell, line):
    program = {"bash": ["bash", "-c", BASH, "bash", line], "fish": ["fish", "-c", FISH, line]}
    folder = Path(sys.executable).parent
    done = subprocess.run(
        program[shell],
        capture_output=True,
        text=True,
        check=True,
        cwd=bare.work,
        env={**bare.environment, "PATH": f"{folder}:{bare.environment['PATH']}"},
    )
    return {word.partition("\t")[0].strip() for word in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_verbs_options_services_and_values_are_offered(bare, shell):
    bare.write(STACK)

    assert {"rollback"} == completed(bare, shell, "pyorch rollb")
    assert {"ls", "load"} == completed(bare, shell, "pyorch image l")
    assert {"--scale"} == completed(bare, shell, "pyorch up --sc")
    assert {"always", "missing"} <= completed(bare, shell, "pyorch up --pull ")
    assert {"proxy", "web"} == completed(bare, shell, "pyorch -f stack.yml logs ")
    assert {"debug"} == completed(bare, shell, "pyorch --profile d")


def test_a_file_that_is_not_right_yet_and_no_daemon_disturb_nobody(bare):
    bare.write("services: {web: {imag")

    assert completed(bare, "bash", "pyorch logs ") == {""}
    assert completed(bare, "bash", "pyorch -p ") == {""}
    assert not bare.settings.socket.exists()


def test_stacks_and_images_are_known_by_the_daemon(pyorch):
    pyorch.write(STACK)
    pyorch.run("up", "-d")

    assert completed(pyorch, "bash", "pyorch -p sh") == {"shop"}
    assert completed(pyorch, "bash", "pyorch -p shop exec pr") == {"proxy"}
    assert completed(pyorch, "bash", "pyorch image rm busy") == {"busybox"}


def test_every_shell_has_a_script_and_is_told_where_it_goes(bare):
    assert bare.run("completion", "zsh").startswith("#compdef pyorch")
    assert "fpath" in bare.run("completion", "--help")

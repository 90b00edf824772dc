"""``pyorch build``."""

import argparse
import os
import sys

from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.errors import PyorchError
from orchestrator.settings import Settings

REFUSED = {
    "builder": "there is one builder: buildah, on this machine",
    "check": "Dockerfiles are not judged, only built",
    "provenance": "images carry no attestations",
    "sbom": "images carry no attestations",
}
"""Flags of others that nobody here can carry out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="all that have a `build`")
    parser.add_argument(
        "--build-arg", action="append", default=[], metavar="K=V", help="variable of the build"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every step anew")
    parser.add_argument("--pull", action="store_true", help="look for newer base images")
    parser.add_argument("--push", action="store_true", help="upload what was built")
    parser.add_argument(
        "--with-dependencies", action="store_true", help="build what services depend on, too"
    )
    parser.add_argument(
        "--ssh", action="append", default=[], metavar="ID=KEY", help="file of a key for steps"
    )
    parser.add_argument("-m", "--memory", metavar="SIZE", help="most memory of a step")
    parser.add_argument(
        "--progress", choices=("auto", "tty", "plain", "json", "quiet"), help="how to tell of it"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print the images' ids only")
    parser.add_argument(
        "--print", action="store_true", dest="only_print", help="print it as a file for bake"
    )
    for flag in REFUSED:
        parser.add_argument(f"--{flag}", nargs="?", const="yes", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Build the images of the services that were named."""
    for flag, why in REFUSED.items():
        if getattr(args, flag) not in (None, "false"):
            raise PyorchError(f"--{flag} is not carried out: {why}", hint="leave it out")
    # Modules that take long to import: a mistake above is told at once.
    from orchestrator.building.prepare import Wishes, buildable
    from orchestrator.cli.building import Printer, build_images, load_to_build
    from orchestrator.spec.settling.select import with_dependencies

    loaded = load_to_build(args)
    can = buildable(loaded.whole)
    for name in args.services:
        if name not in loaded.whole.services:
            known = ", ".join(loaded.whole.services)
            raise PyorchError(f"no such service: `{name}`", hint=f"there are {known}")
    wanted = args.services or can
    if args.with_dependencies and args.services:
        wanted = sorted(with_dependencies(loaded.tree["services"], tuple(args.services)))
    wanted = [name for name in wanted if name in can]
    wishes = Wishes(
        args=_arguments(args.build_arg),
        keys=dict(_key(entry) for entry in args.ssh),
        no_cache=args.no_cache,
        pull=args.pull,
        memory=_size(args.memory),
    )
    if args.only_print:
        from orchestrator.building.bake import bake_file

        sys.stdout.write(bake_file(loaded, wanted, wishes))
        return 0
    if not wanted:
        say("there is nothing to build: no service has a `build`")
        return 0
    quiet = args.quiet or args.progress == "quiet"
    client = connect(Settings.from_environ())
    printer = Printer(quiet=quiet, as_json=args.progress == "json")
    made = build_images(client, loaded, wanted, wishes, printer)
    if args.push:
        from orchestrator.cli.transfer import transfer

        for image in dict.fromkeys(loaded.whole.image_of(name) for name in wanted):
            transfer(client, "push", image, {"reference": image}, quiet=quiet)
            say(f"Image {image} Pushed")
    for name, image in made.items():
        if name in wanted and quiet:
            sys.stdout.write(f"{image}\n")
        elif name in wanted:
            say(f"Image {loaded.whole.image_of(name)} Built")
    return 0


def _arguments(given: list[str]) -> dict[str, str]:
    found = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _key(entry: str) -> tuple[str, str]:
    name, _, path = entry.partition("=")
    if not path:
        raise PyorchError(
            f"--ssh: `{entry}` names no file: agents are not passed on to builds",
            hint="write ID=FILE, with a private key that has no passphrase",
        )
    return name, path


def _size(text: str | None) -> int:
    from orchestrator.spec.values.units import parse_size

    if not text:
        return 0
    try:
        return parse_size(text)
    except ValueError as error:
        raise PyorchError(f"--memory: {error}") from None

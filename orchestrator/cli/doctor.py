"""``pyorch doctor``."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("--deep", action="store_true", help="read every byte of every image, too")
    parser.add_argument(
        "--repair", action="store_true", help="with --deep: mend images that are damaged"
    )


def run(args: argparse.Namespace) -> int:
    """Print what was found; return 1 when something that is needed is missing."""
    from orchestrator.settings import Settings
    from runtime.doctor import examine
    from runtime.types import Verdict

    findings = examine(Settings.from_environ().instance())
    for found in findings:
        sys.stdout.write(f"{found.verdict.value:8} {found.subject}: {found.detail}\n")
        if found.remedy:
            sys.stdout.write(f"{'':8} -> {found.remedy}\n")
    failed = any(found.verdict is Verdict.MISSING for found in findings)
    if args.deep or args.repair:
        failed = not _images_are_sound(repair=args.repair) or failed
    return int(failed)


def _images_are_sound(*, repair: bool) -> bool:
    """Print what is wrong with images; return whether nothing is, any more."""
    from orchestrator.cli.render import safe
    from orchestrator.client.launch import connect
    from orchestrator.settings import Settings

    client = connect(Settings.from_environ())
    damages = client.post("/v1/images/check", {"deep": True, "repair": repair})
    for one in damages:
        name = ", ".join(one["references"]) or one["image"]
        verdict = "repaired" if one["repaired"] else "damaged"
        sys.stdout.write(f"{verdict:8} image {name}: {one['subject']}: {safe(one['cause'])}\n")
        remedy = one["remedy"] or "`pyorch doctor --deep --repair` mends what can be mended"
        sys.stdout.write(f"{'':8} -> {safe(remedy)}\n")
    if not damages:
        sys.stdout.write(f"{'ok':8} images: every byte is as it was taken in\n")
    return all(one["repaired"] for one in damages)

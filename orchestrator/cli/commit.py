"""``pyorch commit``."""

import argparse

from orchestrator.cli.loading import stack_name
from orchestrator.cli.render import say
from orchestrator.client.launch import connect
from orchestrator.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("image", metavar="IMAGE", help="reference the image gets")
    parser.add_argument(
        "--index", type=int, metavar="N", help="which replica; the first one by default"
    )
    parser.add_argument("-a", "--author", metavar="WHO", help="who made the image")
    parser.add_argument(
        "-c",
        "--change",
        action="append",
        metavar="INSTRUCTION",
        help='line of a Dockerfile about how the image is run, such as `CMD ["/app"]` or'
        " `ENV MODE=fast`; may be given several times",
    )
    parser.add_argument("-m", "--message", metavar="TEXT", help="comment in the image's history")


def run(args: argparse.Namespace) -> int:
    """Have the daemon make the image; volumes are no part of it."""
    body = {
        "service": args.service,
        "index": args.index,
        "image": args.image,
        "comment": args.message,
        "author": args.author,
        "changes": args.change or [],
    }
    client = connect(Settings.from_environ())
    image = client.post(f"/v1/stacks/{stack_name(args)}/commit", body)
    say(f"committed {args.service} as {', '.join(image['references'])}")
    return 0

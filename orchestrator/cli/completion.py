"""``pyorch completion``."""

import argparse
import sys

SHELLS = ("bash", "zsh", "fish")
HOW = {
    "bash": "pyorch completion bash > /etc/bash_completion.d/pyorch",
    "zsh": 'pyorch completion zsh > "${fpath[1]}/_pyorch"',
    "fish": "pyorch completion fish > ~/.config/fish/completions/pyorch.fish",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's own arguments."""
    parser.add_argument("shell", choices=SHELLS)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = "\n".join(f"  {line}" for line in HOW.values())
    parser.epilog = f"to have it in every shell:\n{lines}"


def run(args: argparse.Namespace) -> int:
    """Print the script that teaches a shell."""
    from argcomplete.shell_integration import shellcode

    sys.stdout.write(shellcode(["pyorch"], shell=args.shell))
    return 0

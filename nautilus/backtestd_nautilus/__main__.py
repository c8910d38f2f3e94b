"""``backtestd-nautilus doctor``: looks for what commonly is not as it should be. Exit code 3 where something is not."""

import argparse
import sys

from backtestd_nautilus.doctor import doctor


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="backtestd-nautilus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser("doctor", help="installation, catalog, blueprints")
    look.add_argument("--catalog")
    look.add_argument("--blueprints")
    look.add_argument("--socket", help="the daemon's Unix socket: does it answer, and where does its stream stand")
    look.add_argument("--position", help="the file of a SignalClient: how far it is behind")
    look.epilog = "Example: backtestd-nautilus doctor --catalog catalog --blueprints data/demo/blueprints"
    args = parser.parse_args()
    try:
        found = doctor(args.catalog, args.blueprints, args.socket, args.position)
    except (OSError, ValueError) as error:
        print(f"backtestd-nautilus: {error}", file=sys.stderr)
        return 1
    print("\n".join(found.lines))
    return 3 if found.bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""The command ``mlcl`` where perhaps not all is installed that its commands need."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; a package that it needs and that is not there is one line on standard error."""
    try:
        from mlcl_utils.cli import main as commands

        commands()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "mlcl_utils":
            raise
        print(
            f"mlcl: needs {error.name}, which is not installed; get it with: pip install 'mlcl-studies[studies]'",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()

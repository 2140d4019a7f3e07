"""The command line, ``mlcl``: see :mod:`mlcl_utils.cli.commands`.

It starts where not all is installed that its commands need.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit; a package that it needs and that is not there is one line on standard error."""
    try:
        from mlcl_utils.cli.commands import main as run

        run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "mlcl_utils":
            raise
        print(
            f"mlcl: needs {error.name}, which is not installed; get it with: pip install 'mlcl-studies[studies]'",
            file=sys.stderr,
        )
        sys.exit(2)

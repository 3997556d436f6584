"""The command `python -m lcn_tf.serving verify EXPORT_PATH [--tolerance=1e-5]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lcn_tf.serving.verify import VerificationError, verify_export


def main(arguments: Sequence[str] | None = None) -> int:
    """Verifies an export; returns the exit status, 1 when it differs or is none."""
    parser = argparse.ArgumentParser(prog="python -m lcn_tf.serving")
    parser.add_argument("command", choices=["verify"], help="compare an export's answers with those of its model")
    parser.add_argument("export_path", help="a version folder, for example saved_model/1")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest difference (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        report = verify_export(options.export_path, options.tolerance)
    except (FileNotFoundError, VerificationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"verified: {report.requests} requests, {report.candidates} candidates, "
                     f"{', '.join(report.signatures)}; largest difference {report.max_difference:.2g}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

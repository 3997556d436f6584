"""`python -m lcn_tf.serving`: `verify EXPORT_PATH [--tolerance=1e-5]`, `audit --requests=FILE --data_dir=DATA`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lcn_tf.serving.audit import audit, format_audit
from lcn_tf.serving.verify import VerificationError, verify_export


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status, 1 where something differs or cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m lcn_tf.serving")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", help="compare an export's answers with those of its model")
    verify.add_argument("export_path", help="a version folder, for example saved_model/1")
    verify.add_argument("--tolerance", type=float, default=1e-5, help="largest difference (default: %(default)s)")
    compare = commands.add_parser("audit", help="compare logged requests with what preparation derives")
    compare.add_argument("--requests", required=True, help="TFRecords of PredictionLog, TensorFlow Serving's")
    compare.add_argument("--data_dir", required=True, help="prepared data set with the same users and moments")
    options = parser.parse_args(arguments)
    try:
        return _verify(options) if options.command == "verify" else _audit(options)
    except (FileNotFoundError, ValueError, VerificationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _verify(options: argparse.Namespace) -> int:
    report = verify_export(options.export_path, options.tolerance)
    sys.stdout.write(f"verified: {report.requests} requests, {report.candidates} candidates, "
                     f"{', '.join(report.signatures)}; largest difference {report.max_difference:.2g}\n")
    return 0


def _audit(options: argparse.Namespace) -> int:
    found = audit(options.requests, options.data_dir)
    sys.stdout.write(f"{format_audit(found)}\n")
    return 1 if found.differing or not found.matched else 0


if __name__ == "__main__":
    sys.exit(main())

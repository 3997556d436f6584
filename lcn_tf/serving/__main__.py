"""`python -m lcn_tf.serving`: checks exports, converts them, compares requests.

verify EXPORT_PATH [--tolerance=1e-5]
convert EXPORT_PATH --to=openvino --output_dir=FOLDER [--tolerance=1e-5]
audit --requests=FILE --data_dir=DATA
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lcn_tf.serving.audit import audit, format_audit
from lcn_tf.serving.c_session import SessionError
from lcn_tf.serving.configure import BATCHING_PATH, configure_export
from lcn_tf.serving.convert import RUNTIMES, convert_export
from lcn_tf.serving.second_runtime import ConversionError
from lcn_tf.serving.verify import VerificationError, verify_export


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status, 1 where something differs or cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m lcn_tf.serving")
    commands = parser.add_subparsers(dest="command", required=True)
    verify = commands.add_parser("verify", help="compare an export's answers with those of its model")
    verify.add_argument("export_path", help="a version folder, for example saved_model/1")
    verify.add_argument("--tolerance", type=float, default=1e-5, help="largest difference (default: %(default)s)")
    convert = commands.add_parser("convert", help="make a model of a second runtime of an export, and check it")
    convert.add_argument("export_path", help="a version folder, for example saved_model/1")
    convert.add_argument("--to", required=True, choices=sorted(RUNTIMES), help="the runtime")
    convert.add_argument("--output_dir", required=True, help="folder to create")
    convert.add_argument("--tolerance", type=float, default=1e-5, help="largest difference (default: %(default)s)")
    configure = commands.add_parser("configure", help="measure an export and write a server's parameters beside it")
    configure.add_argument("export_path", help="a version folder, for example saved_model/1")
    configure.add_argument("--budget_ms", type=float, default=50.0,
                           help="what a request may take at the server (default: %(default)s)")
    configure.add_argument("--repeats", type=int, default=20, help="measured runs of a kind (default: %(default)s)")
    compare = commands.add_parser("audit", help="compare logged requests with what preparation derives")
    compare.add_argument("--requests", required=True, help="TFRecords of PredictionLog, TensorFlow Serving's")
    compare.add_argument("--data_dir", required=True, help="prepared data set with the same users and moments")
    options = parser.parse_args(arguments)
    try:
        return {"verify": _verify, "convert": _convert, "configure": _configure, "audit": _audit}[
            options.command](options)
    except (OSError, ValueError, VerificationError, ConversionError, SessionError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _verify(options: argparse.Namespace) -> int:
    report = verify_export(options.export_path, options.tolerance)
    sys.stdout.write(f"verified: {report.requests} requests, {report.candidates} candidates, "
                     f"{', '.join(report.signatures)}; largest difference {report.max_difference:.2g}\n")
    return 0


def _convert(options: argparse.Namespace) -> int:
    report = convert_export(options.export_path, options.to, options.output_dir, options.tolerance)
    sys.stdout.write(f"converted: {report.path} for {report.runtime}, {report.bytes / 2**20:,.1f} MiB; "
                     f"{report.requests} requests, {report.candidates} candidates, each request alone and all at once; "
                     f"largest difference {report.max_difference:.2g}\n")
    return 0


def _configure(options: argparse.Namespace) -> int:
    measured, parameters = configure_export(options.export_path, options.budget_ms / 1e3, options.repeats)
    for size, seconds in measured.seconds.items():
        sys.stdout.write(f"{size} requests in one run: {1e3 * seconds:.2f} ms, {size / seconds:,.0f} requests/s\n")
    for callers, throughput in measured.requests_per_second.items():
        sys.stdout.write(f"{callers} callers at once: {throughput:,.0f} requests/s\n")
    sys.stdout.write(f"without optimising the graph: {measured.unoptimized:.2f} times as long\n")
    sys.stdout.write(f"written: {os.path.join(options.export_path, BATCHING_PATH)}\n{parameters.to_text()}")
    return 0


def _audit(options: argparse.Namespace) -> int:
    found = audit(options.requests, options.data_dir)
    sys.stdout.write(f"{format_audit(found)}\n")
    return 1 if found.differing or not found.matched else 0


if __name__ == "__main__":
    sys.exit(main())

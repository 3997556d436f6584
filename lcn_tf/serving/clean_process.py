"""Program of the clean process: answers an export's recorded requests with nothing but TensorFlow.

Run by its path: `python -I clean_process.py EXPORT_PATH REQUESTS_NPZ ANSWERS_NPZ`. It imports nothing of this package
and makes importing it an error. `ANSWERS_NPZ` gets one array per output, named `<signature>/<output>`.
"""

import sys

BLOCKED = ("lcn_tf", "command_line", "experiments", "data_prep")


def block_packages() -> None:
    """From now on, importing one of this project's packages raises ImportError."""
    for name in BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]


def main(export_path: str, requests_path: str, answers_path: str) -> None:
    """Loads the export, runs every signature on the recorded requests and saves what comes out."""
    block_packages()
    import numpy as np
    import tensorflow as tf

    with np.load(requests_path) as arrays:
        named = {name.removeprefix("request/"): tf.constant(arrays[name]) for name in arrays.files
                 if name.startswith("request/")}
        content, ends = arrays["examples_bytes"].tobytes(), np.cumsum(arrays["examples_lengths"])
    examples = tf.constant([content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)])
    model = tf.saved_model.load(export_path)
    answers = {}
    for name, signature in model.signatures.items():
        outputs = signature(examples=examples) if name == "serving_examples" else signature(**named)
        answers.update({f"{name}/{output}": values.numpy() for output, values in outputs.items()})
    np.savez(answers_path, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

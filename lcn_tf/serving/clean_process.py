"""Program of the clean process: answers an export's recorded requests with nothing but TensorFlow.

Run by its path: `python -I clean_process.py EXPORT_PATH REQUESTS_NPZ ANSWERS_NPZ`. It imports nothing of this package
and makes importing it an error. `ANSWERS_NPZ` gets one array per output, named `<signature>/<output>`.
"""

import sys
from typing import Any

BLOCKED = ("lcn_tf", "command_line", "experiments", "data_prep")


def block_packages() -> None:
    """From now on, importing one of this project's packages raises ImportError."""
    for name in BLOCKED:
        sys.modules[name] = None  # type: ignore[assignment]


def states(model: Any, named: dict[str, Any]) -> dict[str, Any]:
    """What `user_state` keeps of the recorded requests."""
    user_state = model.signatures["user_state"]
    return user_state(**{name: named[name] for name in user_state.structured_input_signature[1]})


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
        if name in ("user_state", "update_state"):  # these answer without probabilities
            continue
        inputs = {"examples": examples} if name == "serving_examples" else named
        if name == "rank_from_state":
            inputs = {**named, **states(model, named)}
            inputs = {key: inputs[key] for key in signature.structured_input_signature[1]}
        outputs = signature(**inputs)
        answers.update({f"{name}/{output}": values.numpy() for output, values in outputs.items()})
    np.savez(answers_path, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

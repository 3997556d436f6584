"""What TensorBoard would read."""

import pathlib

import tensorflow as tf


def scalars_of(folder):
    """Tag -> (step, value) of every event, in the order of the files."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found

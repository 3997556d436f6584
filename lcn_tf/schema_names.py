"""Which names a schema may use: those that TensorFlow and Python take, and that no two tensors of a batch share."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Mapping, Sequence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FEATURE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def check_words(features: Mapping[str, Sequence[str]], others: Mapping[str, Sequence[str]]) -> None:
    """Looks at names by themselves: their characters, and the words of Python.

    Args:
      features: role -> names of features.
      others: field of the schema -> names that it gives.

    Raises:
      ValueError: a name that cannot be used.
    """
    for role, names in features.items():
        for name in names:
            if type(name) is not str or not _FEATURE_NAME.fullmatch(name):
                raise ValueError(f"schema.{role}: feature {name!r} cannot be an input of an exported model: expected "
                                 "ASCII letters, digits and _ - . behind a letter")
            if role != "context" and (keyword.iskeyword(name) or name == "self"):
                raise ValueError(f"schema.{role}: feature {name!r} cannot be an input of an exported model: the word "
                                 "is one of Python's own")
    for field, names in others.items():
        for name in names:
            if type(name) is not str or not _NAME.fullmatch(name):
                raise ValueError(f"schema.{field}: {name!r} is no name: expected ASCII letters, digits and _ - . "
                                 "behind a letter or digit")


def check_batch_names(of_package: Collection[str], of_features: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Looks at names beside each other: TensorFlow must not take one tensor of a batch for another.

    Args:
      of_package: tensors that every batch has.
      of_features: role -> feature -> its tensors.

    Raises:
      ValueError: two of them have one name to TensorFlow.
    """
    owners = {_as_tensorflow_sees(name): f"the tensor {name!r} of the package" for name in of_package}
    for role, features in of_features.items():
        for feature, names in features.items():
            for name in names:
                owner = owners.setdefault(_as_tensorflow_sees(name), f"schema.{role} feature {feature!r}")
                if owner != f"schema.{role} feature {feature!r}":
                    raise ValueError(f"schema.{role}: feature {feature!r} would have the name of {owner}"
                                     f"{f' as {name!r}' if name != feature else ''}: choose another")


def check_labels(of_package: Collection[str], labels: Mapping[str, str]) -> None:
    """Looks at the tensors of labels: beside those of the package, and beside each other.

    Args:
      of_package: tensors that every batch has, but for labels.
      labels: name of a label -> its tensor.

    Raises:
      ValueError: two of them, or two labels, have one name to TensorFlow.
    """
    owners = {_as_tensorflow_sees(name): f"the tensor {name!r} of the package" for name in of_package}
    names: dict[str, str] = {}
    for label, key in labels.items():
        if (other := names.setdefault(_as_tensorflow_sees(label), label)) != label:
            raise ValueError(f"schema.labels: {label!r} and {other!r} are one name to TensorFlow: choose another")
        owner = owners.setdefault(_as_tensorflow_sees(key), f"the label {label!r}")
        if owner != f"the label {label!r}":
            raise ValueError(f"schema.labels: {label!r} would have the name of {owner} as {key!r}: choose another")


def _as_tensorflow_sees(name: str) -> str:
    """What two names have in common that TensorFlow does not tell apart as inputs of a signature."""
    return re.sub("[-.]", "_", name).lower()

"""Which names a schema may use: those that TensorFlow and Python take, and that no two tensors of a batch share."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Mapping, Sequence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FEATURE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")

# What a signature that ranks from a user's state is given beside a request's features (lcn_tf/serving/user_state.py).
STATE_NAMES = tuple(f"state_{name}" for name in (
    "buckets", "columns", "counts", "events", "fingerprint", "mask", "search", "sums", "timestamp"))


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


def check_means(means: Mapping[str, Sequence[str]], sides: Sequence[Mapping[str, str]], taken: Collection[str]) -> None:
    """Looks at features that models read as one.

    Args:
      means: what models call them -> names of the features.
      sides: name of a feature -> its table, of each role that may have them.
      taken: names of all features of requests.

    Raises:
      ValueError: no features of one role and table, one that is there twice, or a name that a feature has.
    """
    seen: set[str] = set()
    for name, members in means.items():
        side = next((side for side in sides if set(members) <= set(side)), None)
        if not members or side is None:
            raise ValueError(f"schema.means[{name!r}] must name features of the user, or of candidates, got "
                             f"{', '.join(members) or 'none'}")
        if len({side[member] for member in members}) > 1:
            raise ValueError(f"schema.means[{name!r}]: {', '.join(members)} must read one table")
        if name in set(taken) - set(members):
            raise ValueError(f"schema.means: {name!r} is a feature's name")
        for member in members:
            if member in seen:
                raise ValueError(f"schema.means names {member} twice")
            seen.add(member)


def _as_tensorflow_sees(name: str) -> str:
    """What two names have in common that TensorFlow does not tell apart as inputs of a signature."""
    return re.sub("[-.]", "_", name).lower()

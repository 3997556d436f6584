"""The page `assets.extra/README.md` of an export: what its requests hold, and what its answers warn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lcn_tf.models.requests import request_names
from lcn_tf.schema import FIRST_ID, UNCLICKED, Feature, FeatureSchema
from lcn_tf.serving.admission import WARNINGS

_TEXT = """# Requests to a click model of `{name}`

A request holds one or more users (B), the candidates to rank for each (C), and their histories (L events, another
number for each history). Signatures: {signatures}.

## Inputs

{inputs}

All are int64. `serving_examples` takes the same as a batch of `tf.train.Example`, one for each user: every name is an
int64 list of its values without padding.

- **Ids**: 0 is padding, 1 out of vocabulary, others are lines of the vocabularies of {vocabularies}.
  Any other id is read as 1.
{several}- **Candidates** are padded with 0. A candidate whose `{item}` is 0 gets probability 0.
- **Histories** are most recent first and padded at the end with 0; where `{item}` of an event is 0 there is no event.
  Events beyond those the model reads are ignored. Padding in front of an event is skipped.{unclicked}
- **Timestamps** are seconds UTC. That of a candidate is the moment of the request, not before any event.
- TensorFlow Serving merges tensors of equal sizes only. Its `pad_variable_length_inputs` fills up with a tensor's first
  value, which repeats the newest event at the end of a history: pad yourself, or send `serving_examples`.

Where `explain` is among the signatures, its indices count the events of `lifelong_source` without padding, 0 being the
most recent; -1 stands where fewer events were kept.

## Warnings

The outputs below count, for each request `[B]`, what was answered although it is likely a mistake. Set an alarm on each
one that is above 0 more often than before.

{warnings}
"""


def request_guide(schema: FeatureSchema, lengths: Mapping[str, int], signatures: Sequence[str],
                  vocabularies: str | None = None) -> str:
    """The page as Markdown.

    Args:
      schema: features and tables.
      lengths: history name -> events that the model reads.
      signatures: names of the export's signatures.
      vocabularies: fingerprint of the vocabularies beside the page, None where there are none.
    """
    def ids(features: Sequence[Feature]) -> list[str]:
        return [f"ids 0 to {schema.tables[feature.table] - 1:,}" for feature in features]

    users, impressions, _ = request_names(schema)
    of_candidates = [*ids((*schema.item, *schema.candidate, *schema.request)), "seconds UTC"]
    inputs = [*zip(users, ["[B]"] * len(users), ids(schema.user), strict=True),
              *zip(impressions, ["[B, C]"] * len(impressions), of_candidates, strict=True)]
    for history in schema.histories:
        of_events = [*ids((*schema.item, *schema.stored_context(history))), "seconds UTC"]
        inputs += [(name, "[B, L]", f"{text}; {lengths[history]:,} events are read")
                   for name, text in zip(schema.history_names(history), of_events, strict=True)]
    several = "".join(
        f"| {', '.join(f'`{member}`' for member in members)} | `{name}` |\n" for name, members in schema.means.items())
    if several:
        several = ("- **Several values**: in any order, each id once, else 0; several unknown ones are a single 1.\n\n"
                   f"| inputs | values of |\n| --- | --- |\n{several}\n")
    where = "the prepared data"
    if vocabularies:
        where = (f"this export\n  (`vocabularies/`, fingerprint {vocabularies}; line i, from 0, is the value of id "
                 f"{FIRST_ID} + i, and an empty line of none)")
    unclicked = (f"\n  `{UNCLICKED}` is what the user was shown before the request and has not clicked."
                 if UNCLICKED in schema.histories else "")
    return _TEXT.format(
        vocabularies=where, several=several, unclicked=unclicked,
        name=schema.name, item=schema.item[0].name, signatures=", ".join(f"`{name}`" for name in signatures),
        inputs=_table(("name", "shape", "holds"), [(f"`{name}`", f"`{shape}`", text) for name, shape, text in inputs]),
        warnings=_table(("output", "counts"), [(f"`{name}`", text) for name, text in WARNINGS.items()]))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))

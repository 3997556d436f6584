"""The flags that benchmarks have in common: absl knows each name once, whoever imports several of them."""

from __future__ import annotations

from absl import flags

OUTPUT = flags.DEFINE_string("output", None, "the figures as a JSON file; none: <benchmark>.json in the current folder")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 2048, "impressions in a batch", lower_bound=1)
SHORT_LENGTH = flags.DEFINE_integer("short_length", 24, "events of each short history", lower_bound=2)
STEPS = flags.DEFINE_integer("steps", 20, "measured steps of each line of the table", lower_bound=1)
EMBEDDING_DIM = flags.DEFINE_integer("embedding_dim", 64, "width of the tables", lower_bound=1)
NUM_ITEMS = flags.DEFINE_integer("num_items", 200_000, "rows of the item table", lower_bound=3)
LENGTHS = flags.DEFINE_multi_integer("lengths", [500, 2000], "events of the lifelong history, once for each length",
                                     lower_bound=1)
MEMORY = flags.DEFINE_boolean("memory", True, "measure peak memory too")

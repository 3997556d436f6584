"""What a step does to tables that no optimiser trains: one gradient for some, a second pass over the batch for others.

Shape letters: U distinct ids, d table width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from lcn_tf import contracts
from lcn_tf.contracts import GivesRows, OwnUpdate, SecondPass, Table, TableStep
from lcn_tf.embeddings import LookedUp
from lcn_tf.embeddings.distinct_rows import TableRows
from lcn_tf.layers import StatelessDropout
from lcn_tf.layers.domain_batch_norm import DomainBatchNorm
from lcn_tf.models.global_batch import StepInputs, summed_by_id
from lcn_tf.ops.replica_exchange import sum_over_replicas
from lcn_tf.optimizers.composition import table_learning_rate
from lcn_tf.optimizers.slots import begin_anew

# Whose forward pass in training changes a variable.
_STATEFUL = (tf.keras.layers.BatchNormalization, DomainBatchNorm, StatelessDropout)

Differentiate = Callable[[StepInputs], Sequence[tf.Tensor]]


def table_step(own: contracts.LookedUp, optimizer: tf.keras.optimizers.Optimizer) -> TableStep:
    """What tables are told of the step that the optimiser has not taken yet."""
    number = tf.identity(tf.cast(optimizer.iterations, tf.int64))
    impressions = sum_over_replicas(tf.reduce_sum(tf.cast(own.mask, tf.float32)))
    return TableStep(number, tf.identity(table_learning_rate(optimizer, number)), impressions)


def forward_state(model: tf.keras.Model) -> list[tf.Variable]:
    """The variables that a forward pass in training changes, beside metrics."""
    return [weight for layer in model.submodules if isinstance(layer, _STATEFUL)
            for weight in layer.non_trainable_variables]


def second_passes(tables: Mapping[str, Table]) -> dict[str, SecondPass]:
    """Those of the tables that learn from a second pass."""
    return {name: table for name, table in tables.items() if isinstance(table, SecondPass)}


def update_tables(tables: Mapping[str, Table], step: StepInputs, gradients: Sequence[tf.Tensor],
                  optimizer: tf.keras.optimizers.Optimizer) -> None:
    """Tells every `OwnUpdate` and `GivesRows` among the tables the gradient of the rows that were read of it.

    Args:
      tables: by name.
      step: what was read, with the seeds of `seed_name`.
      gradients: of `step.rows()`.
      optimizer: whose slots of rows that are given to other ids begin anew.
    """
    for name, table in tables.items():
        if name not in step.own.reader.rows:
            continue
        if isinstance(table, OwnUpdate):
            table.apply_gradient(*summed_by_id(*step.of_table(name, gradients)))
        if isinstance(table, GivesRows):
            given = table.give_rows(*step.reads_of_table(name, gradients), step.seeds[seed_name(name)])
            begin_anew(optimizer, table.own_rows, given)


def seed_name(table: str) -> str:
    """Name of the draws of a table among a step's seeds."""
    return f"tables/{table}"


def pass_again(tables: Mapping[str, SecondPass], step: StepInputs, gradients: Sequence[tf.Tensor], told: TableStep,
               differentiate: Differentiate, state: Sequence[tf.Variable]) -> None:
    """Updates tables that learn from a second pass, which is left out in steps in which none of them asks for it.

    Replicas cannot exchange anything in a branch: where there are several, each step has one, of which a table that did
    not ask for it makes no use.

    Args:
      tables: by name.
      step: what was read.
      gradients: of `step.rows()`.
      told: of `table_step`.
      differentiate: inputs of a step -> gradients of the losses by their `rows()`, float32.
      state: of `forward_state`.
    """
    tables = {name: table for name, table in tables.items() if name in step.own.reader.rows}
    if not tables:
        return
    summed = {name: summed_by_id(*step.of_table(name, gradients)) for name in tables}
    wanted = {name: table.wanted(*summed[name], told) for name, table in tables.items()}

    def again() -> list[tf.Tensor]:
        kept = [weight.read_value() for weight in state]
        nearest = {name: (ids, tables[name].nearest(ids, wanted[name])) for name, (ids, _) in summed.items()}
        second = _with_rows(step, nearest)
        found = differentiate(second)
        for weight, value in zip(state, kept, strict=True):
            weight.assign(value)
        return [summed_by_id(*second.of_table(name, found))[1] for name in tables]

    every = {table.every for table in tables.values()}
    if every == {1} or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        found = again()
    else:
        due = tf.reduce_any(tf.equal(told.number % tf.constant(sorted(every), tf.int64), 0))
        found = tf.cond(due, again, lambda: [tf.zeros_like(wanted[name]) for name in tables])
    for (name, table), gradient in zip(tables.items(), found, strict=True):
        table.store(summed[name][0], wanted[name], gradient, told)


def _with_rows(step: StepInputs, vectors: Mapping[str, tuple[tf.Tensor, tf.Tensor]]) -> StepInputs:
    """The inputs of a step with other vectors: table -> distinct ids `[U]` of all replicas, and theirs `[U, d]`."""
    everyone = step.everyone
    if everyone is not None:
        everyone = everyone._replace(looked_up=_replaced(everyone.looked_up, vectors))
    return dataclasses.replace(step, own=_replaced(step.own, vectors), everyone=everyone)


def _replaced(looked_up: contracts.LookedUp, vectors: Mapping[str, tuple[tf.Tensor, tf.Tensor]]) -> LookedUp:
    rows = dict(looked_up.reader.rows)
    for name, (ids, values) in vectors.items():
        if name in rows:
            found = _by_id(ids, values, rows[name].ids)
            rows[name] = TableRows(rows[name].ids, found, tf.identity(found), rows[name].search)
    return LookedUp(dataclasses.replace(looked_up.reader, rows=rows), looked_up.lengths)


def _by_id(ids: tf.Tensor, values: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The values `[U, d]` of distinct ids `[U]` in the order of the wanted ones, which are among them."""
    order = tf.argsort(ids)
    return tf.gather(values, tf.gather(order, tf.searchsorted(tf.gather(ids, order), wanted)))

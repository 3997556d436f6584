"""Operations' times are found by name scope."""

import tensorflow as tf

from experiments.benchmarks import op_times


def test_operations_count_for_the_part_of_their_scope():
    @tf.function
    def call(values):
        with tf.name_scope("outer"), tf.name_scope("slow"):
            for _ in range(7):
                values = tf.matmul(values, values) / 1e3
        with tf.name_scope("quick"):
            return tf.cond(values[0, 0] > 2.0, lambda: values + 1.0, lambda: values - 1.0)

    values = tf.ones([301, 301])
    parts = op_times.by_part(op_times.op_seconds(lambda: call(values), runs=3), {
        "slow": ("slow",), "quick": ("quick",), "no": ("nothing", "low")})
    assert list(parts) == ["slow", "quick", "rest"] and parts["slow"] > 3 * parts["quick"] > 0
    assert op_times.table({"call": parts})[1].split()[0] == "slow"


def test_the_first_part_with_a_scope_has_the_operation():
    seconds = {"model/a/b/MatMul:MatMul": 2.0, "model/a/Add:Add": 1.0, "a_b/Add:Add": 4.0}
    assert op_times.by_part(seconds, {"b": ("b",), "a": ("a",)}) == {"b": 2.0, "a": 1.0, "rest": 4.0}

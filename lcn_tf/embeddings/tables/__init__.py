"""Kinds of embedding tables, one file each: `Config`, `VERSION` and `build(config, spec) -> lcn_tf.contracts.Table`."""

"""Lifelong models, one file each: `Config` and `build(config) -> layer` with `call(candidate, history) -> interest`."""

"""Auxiliary training losses, one file each: `Config` (with `weight`) and `build(config, ...) -> objective`."""

"""Encoders of the two short histories, one file each: `Config` and `build(config) -> layer`."""

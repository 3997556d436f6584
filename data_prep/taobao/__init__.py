"""Taobao ad logs: readers, preparation, and a generator of logs in the same format."""

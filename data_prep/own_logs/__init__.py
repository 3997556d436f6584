"""Logs of anybody's own: a mapping file says which files there are and what their columns mean."""

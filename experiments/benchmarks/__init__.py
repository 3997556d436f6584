"""Figures: one command each, printing a table and writing JSON."""

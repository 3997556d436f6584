"""Optimizers whose cost depends on the ids of a batch, not on the size of the tables."""

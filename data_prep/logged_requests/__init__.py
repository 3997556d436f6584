"""Requests that a server has logged, with their labels, as records to train on."""

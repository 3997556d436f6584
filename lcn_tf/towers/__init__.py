"""Towers: from the concatenated features of a candidate to its hidden vector."""

"""Frozen vectors of what items are (texts, pictures), put beside the records of a prepared data set."""

"""Vectors of texts, such as titles, by the raw ids of what they describe."""

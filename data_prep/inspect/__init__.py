"""A look at a prepared data set: counts, click rates, history lengths, known ids, and one group in raw values."""

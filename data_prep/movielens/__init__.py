"""MovieLens as a cross-domain click data set."""

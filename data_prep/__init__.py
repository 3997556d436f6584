"""From raw logs to request groups: readers of each data set, one preparation pipeline, one writer."""

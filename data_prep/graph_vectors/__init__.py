"""Vectors of users and items from who did what with which, put beside the records of a prepared data set."""

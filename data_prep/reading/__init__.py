"""From the files of a data set to tables of an engine: packed files, lines, cells, and an account of every row."""

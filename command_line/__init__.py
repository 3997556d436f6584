"""What the commands of experiments and of data preparation share: flags of dataclasses, flag files, tables of text."""

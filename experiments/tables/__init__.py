"""The paper's tables, its Figure 5 and its sweeps as commands."""

"""Commands: training runs, the paper's tables and figures, benchmarks. Nothing in `lcn_tf` imports from here."""

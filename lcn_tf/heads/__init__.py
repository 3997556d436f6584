"""Output heads: from the tower's hidden vector to logits."""

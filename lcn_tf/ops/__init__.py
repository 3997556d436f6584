"""Arithmetic without Keras that layers, embeddings and objectives share: masks, event forms, draws, row gradients."""

"""Embedding tables and the embedder that turns a batch's ids into vectors."""

from lcn_tf.embeddings.embedder import FeatureEmbedder
from lcn_tf.embeddings.history import EmbeddedHistory
from lcn_tf.embeddings.tables import EmbeddingConfig, EmbeddingTables

__all__ = ["EmbeddedHistory", "EmbeddingConfig", "EmbeddingTables", "FeatureEmbedder"]

"""Embedding tables, the embedder that owns them, and the batches that it looks up."""

from lcn_tf.embeddings.config import EmbeddingConfig
from lcn_tf.embeddings.embedder import FeatureEmbedder
from lcn_tf.embeddings.history import EmbeddedHistory
from lcn_tf.embeddings.looked_up import LookedUp
from lcn_tf.embeddings.table_set import EmbeddingTables

__all__ = ["EmbeddedHistory", "EmbeddingConfig", "EmbeddingTables", "FeatureEmbedder", "LookedUp"]

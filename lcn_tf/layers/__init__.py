"""Attention, contrastive and masking layers, usable alone in any Keras model.

Docstrings have short examples; `tf` in them is TensorFlow.
"""

from lcn_tf.layers.crp import ItemHistory, contrastive_loss, crp_loss, inbatch_loss
from lcn_tf.layers.csa import CSA
from lcn_tf.layers.folded_attention import FoldedProjections
from lcn_tf.layers.fsa import FSA
from lcn_tf.layers.interest_evolution import InterestEvolution
from lcn_tf.layers.lap import LAP
from lcn_tf.layers.msa import MSA
from lcn_tf.layers.sequence_encoder import SequenceEncoder
from lcn_tf.layers.simhash import HashPooling, SimHash
from lcn_tf.layers.soft_search import SoftSearch
from lcn_tf.layers.stateless_dropout import StatelessDropout
from lcn_tf.layers.target_attention import DINAttention
from lcn_tf.layers.target_mha import TargetMHA
from lcn_tf.layers.twin_attention import TwinAttention
from lcn_tf.ops.cloze_masking import cloze_positions
from lcn_tf.ops.event_forms import Beside, Bucketed, Gathered
from lcn_tf.ops.masking import MASKED_SCORE, expand_mask, mask_scores, masked_softmax, masked_top_k
from lcn_tf.ops.merged_history import DomainHistory, EventSequence, event_sequences
from lcn_tf.ops.pair_sampling import event_windows, sample_events, sample_negative_pairs
from lcn_tf.ops.sampled_softmax import accidental_hits, inbatch_softmax_loss, log_draw_rate, sampled_softmax_loss

__all__ = [
    "CSA",
    "FSA",
    "LAP",
    "MASKED_SCORE",
    "MSA",
    "Beside",
    "Bucketed",
    "DINAttention",
    "DomainHistory",
    "EventSequence",
    "FoldedProjections",
    "HashPooling",
    "InterestEvolution",
    "ItemHistory",
    "SequenceEncoder",
    "SimHash",
    "SoftSearch",
    "StatelessDropout",
    "TargetMHA",
    "TwinAttention",
    "accidental_hits",
    "cloze_positions",
    "contrastive_loss",
    "crp_loss",
    "event_sequences",
    "event_windows",
    "expand_mask",
    "Gathered",
    "inbatch_loss",
    "inbatch_softmax_loss",
    "log_draw_rate",
    "mask_scores",
    "masked_softmax",
    "masked_top_k",
    "sample_events",
    "sample_negative_pairs",
    "sampled_softmax_loss",
]

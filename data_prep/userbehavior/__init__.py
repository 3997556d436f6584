"""Taobao's UserBehavior log (Tianchi data set 649) as cross-domain click data with sampled negatives."""

"""Adaptation without labels: what is done to a pretrained network before it is scored on another domain."""

"""Describes a model without its weights: card, alphabet, kinds of model files."""

"""What is known of a model besides its weights: card, alphabet, the kinds of model files."""

"""The commands ``crnn-infer`` and ``crnn-lm``, and what all commands share."""

"""``crnn-label``: a page on which lines are labelled, the least certain first."""

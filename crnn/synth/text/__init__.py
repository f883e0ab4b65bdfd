"""The texts of lines: sentences of a corpus, words, and generators of everything else."""

"""What lines read: sentences of a corpus, words, and generators of everything else."""

"""The measurements, one file for each question; `crnn_benchmarks.cli.bench.CASES` lists them."""

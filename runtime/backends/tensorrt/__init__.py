"""TensorRT and TensorRT for RTX on an NVIDIA GPU, without torch.

`backend` reads batches with an engine; `calls` decides in which shapes; `pool` lends
`lane`s, one for each call that runs; a lane has `contexts`, `memory` and a stream.
`library` is the TensorRT that is installed, `engine` a plan that it has loaded, and
`kernel_cache` what TensorRT for RTX has compiled.
"""

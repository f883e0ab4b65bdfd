"""``crnn-bulk``: more pictures than one process should read, on one machine or a cluster.

What is read is planned first (`plan`): the inputs are cut into parts, and the plan is
written to the output folder. A part is read by one worker (`worker`) and written whole
or not at all (`parts`), under a name that follows from its number. So what is missing
can be told from the folder alone: a run that was stopped goes on there, and a worker
that dies costs no more than what it had read of its part.
"""

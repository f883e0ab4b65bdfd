"""Words with frequencies, and what generators of text draw from."""

import bisect
import importlib.util
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence

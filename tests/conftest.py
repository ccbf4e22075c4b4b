"""Settings of hypothesis: no deadline on shared machines; the same examples in every CI run."""

import os

from hypothesis import settings

settings.register_profile("vsc", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("vsc")

"""Who plays which part, and how it is asked.

Open `cast.py` first (the models of a run), then `asking.py` (what they are given), `sampling.py` (profiles, with what
`serving.py` lets them say about servers) and `structured.py` (decode under a schema, validate, repair). `simulated.py`
is the stamp of the stand-in.
"""

from trace2skill.models.asking import Asking
from trace2skill.models.cast import Cast
from trace2skill.models.sampling import Profile, load_profile
from trace2skill.models.structured import generate_structured

__all__ = ["Asking", "Cast", "Profile", "generate_structured", "load_profile"]

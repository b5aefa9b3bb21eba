"""A study: a declaration in YAML, the cells that it needs, and the evaluations that come of them.

In: `results/<study>/study.yaml`. Out: `runs/<study>/`, a folder for each cell. Open `study.py` first. `declaration.py`
is what may be declared, `reading.py` reads it and `faults.py` finds what is wrong; `expansion.py` and `building.py`
make cells of it (`cells.py`); `running.py` runs them, with `executors.py` and `process.py`; `working.py` and
`playing.py` are what a cell does. `freezing.py` keeps test splits tests, and `evaluations.py` is what reports read.
"""

from trace2skill.study.declaration import Declaration, Primary
from trace2skill.study.evaluations import Evaluation, Metric
from trace2skill.study.executors import open_executor
from trace2skill.study.study import Study, record_look

__all__ = ["Declaration", "Evaluation", "Metric", "Primary", "Study", "open_executor", "record_look"]

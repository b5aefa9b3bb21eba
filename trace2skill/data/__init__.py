"""Benchmark data: cards, fetching, places.

In: a card, `tasks/<benchmark>/card.yaml`. Out: the benchmark's folder, checked. Open `places.py` first (where data
lies), then `cards.py` and `sources.py` (what is known of it, and where it comes from), `fetch.py` (the steps),
`download.py`, `unpack.py` and `forms.py` (the hub's rows as the published files), `verify.py`.
"""

from trace2skill.data.cards import Card, benchmarks, load_card
from trace2skill.data.fetch import fetch
from trace2skill.data.places import DATA_VARIABLE, bundled, data_dir, resolve_path
from trace2skill.data.verify import verify

__all__ = ["DATA_VARIABLE", "Card", "benchmarks", "bundled", "data_dir", "fetch", "load_card", "resolve_path", "verify"]

"""Cross-view retrieval in the layouts of CV-Cities, CVUSA, CVACT, VIGOR and University-1652.

These are scored from rankings alone (`ranks.py`; `rankings.py` makes them of similarity matrices), never from what a
language model writes: nobody can show it a gallery of ten thousand tiles. Each example therefore counts as one that
cannot be asked, and is scored as soon as a prediction is there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Prompt, Source
from indirect_rlvr_geo.benchmarks import ranks
from indirect_rlvr_geo.benchmarks import retrieval_layouts as layouts
from indirect_rlvr_geo.benchmarks.cross_view import source as cv_cities_source
from indirect_rlvr_geo.benchmarks.retrieval_layouts import DRONE_TO_SATELLITE, SATELLITE_TO_DRONE, VIGOR_CITIES, Pool
from indirect_rlvr_geo.benchmarks.truths import distinct

RANKING = "a ranking of the gallery"
"""What an example lacks until somebody hands it in: so no model is asked, and predictions are scored all the same."""
Pools = Callable[[Path], Iterable[Pool]]
POOLS: Mapping[str, Pools] = {
    "cv-cities-retrieval": layouts.cv_cities,
    "cvusa-retrieval": layouts.cvusa,
    "cvact-retrieval": layouts.cvact,
    **{f"vigor-{area}": partial(layouts.vigor, area=area) for area in VIGOR_CITIES},
    "university-1652": layouts.university,
}
"""How the queries and galleries of each set are read."""
_ACADEMIC = "academic use, on request"
_CVUSA = Source(
    homepage="https://mvrl.cse.wustl.edu/datasets/cvusa/",
    licence=_ACADEMIC,
    size="8,884 test pairs, one to one",
    layout="splits/val-19zl.csv as released: satellite, panorama, and perhaps annotation, without a header",
    files=("splits/val-19zl.csv",),
)
_CVACT = Source(
    homepage="https://github.com/Liumouliu/OriCNN",
    licence=_ACADEMIC,
    size="8,884 validation pairs in Canberra, one to one",
    layout="ACT_data.mat as released (of version 5; nothing in it is executed)",
    files=("ACT_data.mat",),
)
_UNIVERSITY = Source(
    homepage="https://github.com/layumi/University1652-Baseline",
    licence="on request",
    size="1,652 buildings of 72 universities, 951 of them to test on",
    layout="test/query_drone, gallery_satellite, query_satellite and gallery_drone, in each a folder for each building",
    files=tuple(
        f"test/{part}/*/*" for part in ("query_drone", "gallery_satellite", "query_satellite", "gallery_drone")
    ),
)


def benchmarks() -> list[Benchmark]:
    """One benchmark for each data set and way to split it."""
    return [
        _benchmark("cv-cities-retrieval", cv_cities_source("a link to cv-cities-pairing will do")),
        _benchmark("cvusa-retrieval", _CVUSA),
        _benchmark("cvact-retrieval", _CVACT),
        *(_benchmark(f"vigor-{area}", _vigor(area)) for area in VIGOR_CITIES),
        _benchmark("university-1652", _UNIVERSITY, (DRONE_TO_SATELLITE, SATELLITE_TO_DRONE)),
    ]


def examples(folder: Path, pools: Pools) -> Iterator[Example]:
    """One example for each query of each pool; raises DataError for one whose positive is not in the gallery."""
    seen: Counter[str] = Counter()
    for pool in pools(folder):
        gallery = set(pool.gallery)
        for query in pool.queries:
            lost = [item for item in (*query.positives, *query.semi) if item not in gallery]
            if lost or not query.positives:
                raise DataError(
                    f"query {query.name!r} in `{folder}`: {lost[0] if lost else 'its positive'!r} is not in the "
                    f"gallery of {len(gallery)} images; download the split again"
                )
            name, flags = distinct(query.name, seen)
            truth = {"positives": list(query.positives), "semi": list(query.semi), "gallery": len(gallery)}
            text = f"Rank the {len(gallery)} images of the gallery by their similarity to {query.name}."
            yield Example(name, query.cluster, Prompt((text,)), truth, pool.task, (RANKING,), flags)


def _benchmark(name: str, source: Source, tasks: tuple[str, ...] = ("",)) -> Benchmark:
    return Benchmark(
        name=name,
        description="rank of the right image in a gallery, scored from rankings, never from text",
        source=source,
        examples=partial(examples, pools=POOLS[name]),
        parse=ranks.parse,
        judge=ranks.judge,
        metrics=partial(ranks.metrics, tasks=tasks),
        main="R@1",
        tasks=tasks,
    )


def _vigor(area: str) -> Source:
    labels = "same_area_balanced_test.txt" if area == "same-area" else "pano_label_balanced.txt"
    files = tuple(f"splits/{city}/{name}" for city in VIGOR_CITIES[area] for name in ("satellite_list.txt", labels))
    return Source(
        homepage="https://github.com/Jeff-Zilence/VIGOR",
        licence=_ACADEMIC,
        size="90,618 tiles and 105,214 panoramas of 4 cities in all",
        layout=f"splits/<city>/satellite_list.txt and {labels} as released, of {', '.join(VIGOR_CITIES[area])}",
        files=files,
        revision="the balanced splits",
    )

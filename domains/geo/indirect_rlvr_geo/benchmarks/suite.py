"""The published benchmarks of the pack, a file each beside this one, and the suites they make up."""

from dataclasses import replace

from indirect_rlvr.types import Benchmark
from indirect_rlvr_geo.benchmarks import (
    cross_view,
    dior_rsvg,
    earthreason,
    geobench,
    geochain,
    globe,
    gpqa,
    im2gps,
    imageo,
    mega_bench,
    mmmu,
    mmmu_pro,
    nwpu,
    osv5m,
    photos,
    retrieval,
    rrsis,
    rsteller,
    rsvqa,
    vrsbench,
    vrsbench_vqa,
)

MODULES = (
    cross_view, retrieval, geochain, imageo, globe, im2gps, osv5m, photos, rsteller, geobench, vrsbench, nwpu,
    earthreason, dior_rsvg, rrsis, mmmu, mmmu_pro, gpqa, mega_bench, rsvqa, vrsbench_vqa,
)  # fmt: skip
RETENTION = ("mmmu", "mmmu-pro", "gpqa-diamond", "mega-bench", "rsvqa-lr", "rsvqa-hr", "vrsbench-vqa")
"""What a model could do before training and should still do after it."""
SUITES = {
    "paper": (
        "cv-cities-pairing", "geochain", "imageo-gss", "imageo-upc", "imageo-pcw", "mp16-reason", "rsteller",
        "geobench-vlm", "mmmu", "gpqa-diamond", "mega-bench",
    ),
    "referring": ("vrsbench-referring", "nwpu-vhr10", "earthreason-test", "dior-rsvg", "rrsis-d"),
    "retention": RETENTION,
}  # fmt: skip
"""`paper` is what arXiv 2510.00072 and its secondary sources name, `referring` what arXiv 2509.21976 does."""


def benchmarks() -> list[Benchmark]:
    """Every published benchmark, in the order in which they are listed."""
    found = [each for module in MODULES for each in module.benchmarks()]
    return [replace(each, suites=tuple(suite for suite in SUITES if each.name in SUITES[suite])) for each in found]

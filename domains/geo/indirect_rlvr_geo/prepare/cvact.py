"""CVACT as pairs: Canberra, positions from UTM; held out are blocks, since the authors' two sets cover one city."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from indirect_rlvr.types import Split
from indirect_rlvr_geo.benchmarks.cv_cities import spot
from indirect_rlvr_geo.benchmarks.retrieval_layouts import cvact_pairs
from indirect_rlvr_geo.prepare import utm
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Group, Listing, Pair, block
from indirect_rlvr_geo.prepare.pairs import side as side_of

ZONE = 55
ABOUT = (
    "One city: blocks of about a kilometre are held out, and of those only the authors' validation pairs are kept; of "
    "the other blocks only their training pairs. Their two sets as they are lie among each other."
)


def listing(root: Path, options: Options) -> Listing:
    """The training pairs outside the held-out blocks and the validation pairs inside them."""
    sides: tuple[Split, Split] = ("train", "test")
    groups = (Group(side, partial(_pairs, root, side, options.test_share)) for side in sides)
    return Listing(
        tuple(groups), ABOUT, ("pairs of the wrong set for their block are left out before anything is counted",)
    )


def _pairs(root: Path, side: Split, test_share: float) -> Iterator[Pair]:
    for found in cvact_pairs(root, side):
        latitude, longitude = utm.degrees(found.east_m, found.north_m, ZONE, south=True)
        cluster = f"canberra {block(latitude, longitude)}"
        if side_of(cluster, test_share) == side:
            yield Pair(
                id=found.name,
                cluster=cluster,
                ground=found.panorama,
                overhead=found.tile,
                split=side,
                city="Canberra",
                place="{:.5f} {:.5f}".format(*spot(latitude, longitude)),
                latitude_deg=latitude,
                longitude_deg=longitude,
            )

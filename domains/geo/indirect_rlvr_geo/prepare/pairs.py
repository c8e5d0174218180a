"""What every layout is read into: pairs of a ground and an overhead image of one place, group by group, unopened."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Split

_MONTH = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_](0[1-9]|1[0-2])(?!\d)")


@dataclass(frozen=True, slots=True)
class Pair:
    """One ground and one overhead image, by their paths below the data set's folder.

    Pairs of one `place` show the same thing. `cluster` lies wholly on one side of the split. Positions are degrees, and
    None for all pairs of a data set or for none; `captured` is ISO 8601 from the month on; `covers` are further
    overhead images that show the place.
    """

    id: str
    cluster: str
    ground: str
    overhead: str
    split: Split
    city: str = ""
    place: str = ""
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    captured: str = ""
    heading_deg: float | None = None
    elevation_m: float | None = None
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Pairs that are listed together (a city, a split); `pairs` reads them anew each time."""

    name: str
    pairs: Callable[[], Iterator[Pair]]


@dataclass(frozen=True, slots=True)
class Listing:
    """A data set before any image is looked at: its groups, `about` what keeps the splits apart, notes for the user."""

    groups: tuple[Group, ...]
    about: str
    notes: tuple[str, ...] = ()


def take(listing: Listing, limit: int) -> Iterator[tuple[str, Pair]]:
    """(group, pair) of every group in order; with a limit, so many in all and of each group its even share, the first
    of its list."""
    each, more = divmod(limit, max(1, len(listing.groups)))
    for number, group in enumerate(listing.groups):
        share = each + (number < more) if limit else None
        yield from ((group.name, pair) for pair in islice(group.pairs(), share))


def block(latitude_deg: float, longitude_deg: float, decimals: int = 2) -> str:
    """The block a position lies in: degrees to so many decimals; the second is a kilometre, the first eleven."""
    return f"{latitude_deg:.{decimals}f} {longitude_deg:.{decimals}f}"


def month_in(name: str) -> str:
    """The year and month written in a name ("…2019-05…", "…2019_05…"), as "2019-05", or ""."""
    found = _MONTH.search(name)
    return f"{found[1]}-{found[2]}" if found else ""


def side(cluster: str, test_share: float) -> Literal["train", "test"]:
    """The side of a cluster that nothing else decides: a keyed hash, so that it stays when data are added."""
    return "test" if keyed_rng(0, "side", cluster).random() < test_share else "train"

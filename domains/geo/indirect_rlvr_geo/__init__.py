"""The geospatial domain: Geo-R1's cross-view pairing, in miniature on a real elevation model."""

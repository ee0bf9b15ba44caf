"""Publishing a run as a bundle that strangers can check, and checking, reproducing and merging such bundles."""

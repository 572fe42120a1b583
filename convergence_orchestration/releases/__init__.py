"""Releases: from a source tree to the revision that serves everybody, or back again."""

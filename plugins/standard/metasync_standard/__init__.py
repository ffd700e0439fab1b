"""The rewrites and the matcher that Metasync ships with, registered by the same hooks as anybody's."""

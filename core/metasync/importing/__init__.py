"""Import: bring a directory's objects into the database, page by page, and say what changed.

`decide` says whether all is read or only what changed, and `read` goes through the pages; `pack` makes a page ready, `compare` finds what
changed and stores it; `marks` says who must be synchronised again; `references` finds what references mean; `tombstones` decides about
objects that were not seen; `index` keeps the match keys; `request` knows what is asked for, `seen` what was shown.
"""

from metasync.identity import AnotherDirectory
from metasync.importing.read import ImportOutcome, import_directory

__all__ = ["AnotherDirectory", "ImportOutcome", "import_directory"]

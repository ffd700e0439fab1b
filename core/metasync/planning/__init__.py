"""Planning: what is pending is frozen, judged against limits, approved, exported by `metasync.exporting`, and taken back by an undo."""

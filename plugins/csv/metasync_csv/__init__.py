"""CSV files as directories: people, groups and contacts in one file or one file per kind, read and written."""

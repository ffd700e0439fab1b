"""The real servers that the tests speak to. Used by `script/lab` and by pytest; plain Python, nothing to install before."""

"""Example data and documents: what `metasync init` writes, and the small company that `metasync demo` runs the product on."""

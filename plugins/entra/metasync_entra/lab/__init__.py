"""A lab tenant: a stateful simulator of Microsoft's token service and Graph, over HTTPS on loopback addresses alone."""

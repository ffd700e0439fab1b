"""Active Directory for Metasync: read and write users, groups, contacts and containers over an encrypted LDAP connection."""

import warnings

with warnings.catch_warnings():
    # ldap3 2.9.1 asks pyasn1 for names that pyasn1 0.6 calls deprecated; where warnings are errors, the plugin would not load.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3  # noqa: F401

"""Active Directory for Metasync: read and write users, groups, contacts and containers over an encrypted LDAP connection."""

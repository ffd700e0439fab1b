"""Microsoft Entra ID as a directory: users, groups and contacts by Microsoft Graph. `metasync_entra.lab` is a tenant to try it against."""

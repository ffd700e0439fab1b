"""A lab tenant: a stateful simulator of Microsoft's token service and Graph, over HTTPS on loopback addresses alone.

In a test:

    from metasync_entra.lab import tenant

    with tenant(users=50, groups=5, members=10) as lab:
        lab.login_url, lab.authority      # https://localhost:PORT, and the same with the tenant's id
        lab.graph_url, lab.scope          # https://localhost:PORT (without /v1.0), and GRAPH/.default for tokens
        lab.ca_file                       # PEM of the authority to trust
        lab.tenant_id, lab.client_id, lab.client_secret
        lab.certificate                   # .pem (key and certificate), .key_pem, .certificate_pem, .pfx + .pfx_password, .thumbprint
        lab.stranger                      # a certificate that the app does not have
        lab.control                       # behind the clients' back, see control.py:
        lab.control.create("user", {"userPrincipalName": "ada@contoso.com", "displayName": "Ada", "onPremisesSyncEnabled": True})
        lab.control.set(throttle=True, lag_get=5.0, delta_users=2)
        lab.control.clock(freeze=True); lab.control.clock(advance=3600)
        lab.control.fault("status", status=429, retry_after="2.128", method="GET", path="/users", times=3)
        lab.control.stats()["calls"], lab.control.trace(on=True)

Every test can have a tenant of its own: starting one takes a fraction of a second. In another process: `metasync lab entra`, or
`python -m metasync_entra.lab`, which print the same facts as JSON; the verbs of `lab.control` are then POST control_url/_lab/VERB.

What is simulated, by which published page, and what is not, stands in docs/lab-entra.md.
"""

from __future__ import annotations

from metasync_entra.lab.starting import Lab, tenant

__all__ = ["Lab", "tenant"]

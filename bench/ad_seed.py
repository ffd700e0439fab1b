#!/usr/bin/python3
"""Fill a forest that does not run with people of 30 attributes, in ten OUs, and a group of some of them.

The fast way: whole transactions with indexes written late (`batch_mode`), 2,000 objects each, accounts without a password and disabled.
Run by Debian's own Python, which python3-samba belongs to: ad_seed.py SMB.CONF SAM.LDB PEOPLE MEMBERS
"""

import sys

from samba.auth import system_session  # type: ignore[import-not-found, import-untyped, unused-ignore]
from samba.param import LoadParm  # type: ignore[import-not-found, import-untyped, unused-ignore]
from samba.samdb import SamDB  # type: ignore[import-not-found, import-untyped, unused-ignore]

UNITS = 10
PORTION = 2000


def person(number: int, unit: str, base: str, domain: str) -> dict[str, str | list[str]]:
    """One person; with what the directory adds, 30 attributes are read of it."""
    account = f"b{number:06d}"
    found: dict[str, str | list[str]] = {
        "dn": f"CN=Person {number:06d},{unit}",
        "objectClass": "user",
        "sAMAccountName": account,
        "userPrincipalName": f"{account}@{domain}",
        "givenName": f"Gérard {number % 97}",
        "sn": f"Müller {number % 89}",
        "displayName": f"Müller {number % 89}, Gérard {number % 97}",
        "mail": f"{account}@{domain}",
        "employeeID": str(100_000 + number),
        "employeeNumber": str(500_000 + number),
        "department": f"Department {number % 40}",
        "company": "Contoso",
        "title": "Manager" if number % 10 == 0 else "Engineer",
        "description": f"Seeded for measuring, number {number}",
        "proxyAddresses": [f"SMTP:{account}@{domain}", f"smtp:{account}@mail.{domain}"],
        "telephoneNumber": f"+41 44 {number:07d}",
        "mobile": f"+41 79 {number:07d}",
        "streetAddress": f"Bahnhofstrasse {number % 120}",
        "l": "Zürich",
        "st": "ZH",
        "postalCode": str(8000 + number % 99),
        "co": "Switzerland",
        "physicalDeliveryOfficeName": f"Room {number % 300}",
        "info": "x" * (number % 40 + 1),
        "userAccountControl": "514",
    }
    if number % 10:
        found["manager"] = f"CN=Person {number - number % 10:06d},{unit}"
    return found


def main(configuration: str, database: str, people: int, members: int) -> None:
    """Write everybody."""
    parameters = LoadParm()
    parameters.load(configuration)
    sam = SamDB(url=database, lp=parameters, session_info=system_session(), options=["batch_mode:1"])
    base, domain = str(sam.domain_dn()), sam.domain_dns_name()
    units = [f"OU=Part {number},OU=Staff,{base}" for number in range(UNITS)]
    sam.transaction_start()
    for unit in units:
        sam.add({"dn": unit, "objectClass": "organizationalUnit"})
    sam.transaction_commit()
    dns: list[str] = []
    for start in range(0, people, PORTION):
        sam.transaction_start()
        for number in range(start, min(start + PORTION, people)):
            made = person(number, units[number // 10 % UNITS], base, domain)
            sam.add(made)
            dns.append(str(made["dn"]))
        sam.transaction_commit()
    sam.transaction_start()
    group = {"dn": f"CN=Large,OU=Groups,{base}", "objectClass": "group", "sAMAccountName": "Large", "member": dns[:members]}
    sam.add(group)
    sam.transaction_commit()
    # Deltas take a deleted object that can be seen.
    sam.add({"dn": f"OU=Gone,OU=Tests,{base}", "objectClass": "organizationalUnit"})
    sam.delete(f"OU=Gone,OU=Tests,{base}")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

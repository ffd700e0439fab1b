#!/usr/bin/python3
"""Fill a forest that does not run: OUs, people with managers, groups, a contact, and the service account with delegated rights.

The recycle bin stays off: Samba 4.17 can turn it on, but then cannot bring an object back (it misses isRecycled), and shows deleted
members in groups.

Run by Debian's own Python, which python3-samba belongs to: seed.py SMB.CONF SAM.LDB PASSWORD-FILE PEOPLE
"""

import sys
from collections.abc import Iterator

from samba.auth import system_session  # type: ignore[import-not-found, import-untyped, unused-ignore]
from samba.param import LoadParm  # type: ignore[import-not-found, import-untyped, unused-ignore]
from samba.samdb import SamDB  # type: ignore[import-not-found, import-untyped, unused-ignore]
from samba.sd_utils import SDUtils  # type: ignore[import-not-found, import-untyped, unused-ignore]

UNITS = ("Staff", "Groups", "Imported", "GAL", "Leavers", "Tests")
GIVEN = (
    "Anna",
    "Björn",
    "Chloé",
    "David",
    "Elif",
    "Fatima",
    "George",
    "Hélène",
    "Ivan",
    "Jürgen",
    "Karin",
    "Łukasz",
    "Mia",
    "Noël",
    "Olga",
    "Peter",
)
NAMES = (
    "Ærø",
    "Baker",
    "Çelik",
    "Dubois",
    "Eriksson",
    "Fischer",
    "García",
    "Huber",
    "Ivanov",
    "Jensen",
    "Köhler",
    "Larsen",
    "Müller",
    "Nguyen",
    "O'Brien",
    "Pérez",
)
DEPARTMENTS = ("Sales", "Research", "Finance", "Logistics", "People")
CLASSES = {
    "user": "bf967aba-0de6-11d0-a285-00aa003049e2",
    "group": "bf967a9c-0de6-11d0-a285-00aa003049e2",
    "contact": "5cb41ed0-0e4c-11d0-a286-00aa003049e2",
    "organizationalUnit": "bf967aa5-0de6-11d0-a285-00aa003049e2",
}
REANIMATE = "45ec5156-db7e-47bb-b53f-dbeb2d03c40f"
RESET_PASSWORD = "00299570-246d-11d0-a768-00aa006e0529"


def delegation(sid: str) -> Iterator[str]:
    """Create and delete the four classes below an OU, read and write their attributes, delete them, set users' passwords. No more."""
    for guid in CLASSES.values():
        yield f"(OA;CI;CCDC;{guid};;{sid})"
        yield f"(OA;CIIO;RPWPLCLORCSDDT;;{guid};{sid})"
    yield f"(OA;CIIO;CR;{RESET_PASSWORD};{CLASSES['user']};{sid})"


def main(configuration: str, database: str, password_file: str, people: int) -> None:
    parameters = LoadParm()
    parameters.load(configuration)
    sam = SamDB(url=database, lp=parameters, session_info=system_session(), options=["batch_mode:1"])  # writes indexes late: faster
    base, domain = str(sam.domain_dn()), sam.domain_dns_name()
    sam.transaction_start()
    for unit in UNITS:
        sam.add({"dn": f"OU={unit},{base}", "objectClass": "organizationalUnit"})
    staff, groups = f"OU=Staff,{base}", f"OU=Groups,{base}"
    members: dict[str, list[str]] = {department: [] for department in DEPARTMENTS}
    boss = ""
    for number in range(people):
        given, name = GIVEN[number % len(GIVEN)], NAMES[(number // len(GIVEN) + number) % len(NAMES)]
        account, department = f"p{number:05d}", DEPARTMENTS[number % len(DEPARTMENTS)]
        dn = f"CN={given} {name} {number:05d},{staff}"
        person = {
            "dn": dn, "objectClass": "user", "sAMAccountName": account, "userPrincipalName": f"{account}@{domain}",
            "givenName": given, "sn": name, "displayName": f"{name}, {given}", "mail": f"{account}@{domain}",
            "employeeID": f"{100000 + number}", "department": department, "title": "Manager" if number % 10 == 0 else "Engineer",
            "proxyAddresses": [f"SMTP:{account}@{domain}", f"smtp:{account}@mail.{domain}"], "userAccountControl": "514",
            "telephoneNumber": f"+41 44 {number:07d}",
        }  # fmt: skip
        if number % 10 == 0:
            boss = dn
        else:
            person["manager"] = boss
        sam.add(person)
        members[department].append(dn)
    for department, dns in members.items():
        record: dict[str, str | list[str]] = {
            "dn": f"CN={department},{groups}",
            "objectClass": "group",
            "sAMAccountName": department,
            "description": f"All of {department}",
        }
        if dns:
            record["member"] = dns
        sam.add(record)
    sam.add({"dn": f"CN=External Counsel,OU=GAL,{base}", "objectClass": "contact", "mail": "counsel@law.example"})
    sam.transaction_commit()
    with open(password_file) as secret:
        password = secret.read().strip()
    sam.newuser("svc-metasync", password, description="Metasync's service account: rights are delegated on OUs")
    sam.setexpiry("(sAMAccountName=svc-metasync)", 0, no_expiry_req=True)
    sam.setexpiry("(sAMAccountName=Administrator)", 0, no_expiry_req=True)
    (account,) = sam.search(base, expression="(sAMAccountName=svc-metasync)", attrs=["objectSid"])
    sid = sam.schema_format_value("objectSid", account["objectSid"][0]).decode()
    tools = SDUtils(sam)
    for unit in UNITS:
        tools.dacl_add_ace(f"OU={unit},{base}", "".join(delegation(sid)))
    # Bringing back what was deleted: the right for it on the domain's head, and sight of what was deleted.
    tools.dacl_add_ace(base, f"(OA;;CR;{REANIMATE};;{sid})")
    tools.dacl_add_ace(f"CN=Deleted Objects,{base}", f"(A;CI;LCRP;;;{sid})")
    print(f"seeded {people} people; svc-metasync is {sid}")


main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

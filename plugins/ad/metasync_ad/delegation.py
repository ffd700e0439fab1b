"""What an administrator runs to grant a right to our account: `dsacls` on Windows, `samba-tool` on Samba. Never more than is asked for.

The forms of dsacls are those of its own help; they are not tried here, for lack of a Windows domain. Those of samba-tool are.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

CLASSES = {
    "user": "bf967aba-0de6-11d0-a285-00aa003049e2",
    "group": "bf967a9c-0de6-11d0-a285-00aa003049e2",
    "contact": "5cb41ed0-0e4c-11d0-a286-00aa003049e2",
    "organizationalUnit": "bf967aa5-0de6-11d0-a285-00aa003049e2",
}
"""schemaIDGUID of the classes that are written (MS-ADSC)."""

RESET_PASSWORD = "00299570-246d-11d0-a768-00aa006e0529"  # noqa: S105 - the GUID of a right
GET_CHANGES = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2"
GET_CHANGES_ALL = "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2"
REANIMATE_TOMBSTONES = "45ec5156-db7e-47bb-b53f-dbeb2d03c40f"
MIGRATE_SID_HISTORY = "ba33815a-4f93-4c76-87f3-57574bff8109"
"""Extended rights (MS-ADTS 5.1.3.2.1)."""

NAMES = {
    RESET_PASSWORD: "Reset Password",
    GET_CHANGES: "Replicating Directory Changes",
    GET_CHANGES_ALL: "Replicating Directory Changes All",
    REANIMATE_TOMBSTONES: "Reanimate Tombstones",
    MIGRATE_SID_HISTORY: "Migrate SID History",
}
"""Their display names, by which dsacls knows them."""


_NOT_PLAIN = re.compile(r"[%$`\u201c-\u201f\x00-\x1f\x7f]")
"""Even between quotation marks it means something to cmd or to PowerShell, which takes curly ones for such marks; whoever may name an OU
would have an administrator run what he likes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trustee:
    """Our account: by name for dsacls, by SID for samba-tool."""

    name: str
    sid: str

    def create(self, place: str, kind: str) -> tuple[str, ...]:
        """Create and delete objects of a class below a container."""
        return self._both(place, "/I:T", f"CCDC;{kind};", f"(OA;CI;CCDC;{CLASSES[kind]};;{self.sid})")

    def write(self, place: str, kind: str) -> tuple[str, ...]:
        """Read and write all attributes of them, rename and move them, and delete them."""
        return self._both(place, "/I:S", f"RPWPLCLORCSD;;{kind}", f"(OA;CIIO;RPWPLCLORCSD;;{CLASSES[kind]};{self.sid})")

    def extended(self, place: str, right: str, kind: str) -> tuple[str, ...]:
        """An extended right on objects of a class below a container."""
        return self._both(place, "/I:S", f"CA;{NAMES[right]};{kind}", f"(OA;CIIO;CR;{right};{CLASSES[kind]};{self.sid})")

    def on_head(self, head: str, right: str) -> tuple[str, ...]:
        """An extended right on the head of the domain."""
        return self._both(head, "", f"CA;{NAMES[right]}", f"(OA;;CR;{right};;{self.sid})")

    def _both(self, dn: str, inherit: str, permission: str, sddl: str) -> tuple[str, ...]:
        windows = " ".join(part for part in ("dsacls", f'"{dn}"', inherit, "/G", f'"{self.name}:{permission}"') if part)
        if _NOT_PLAIN.search(windows.replace('"', "")) or '"' in dn + self.name:
            windows = f"(no dsacls command: a shell may read more into the name of {dn}; grant {permission} there by hand)"
        samba = f"samba-tool dsacl set --action=allow {shlex.quote(f'--objectdn={dn}')} {shlex.quote(f'--sddl={sddl}')}"
        return windows, samba

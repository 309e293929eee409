"""Who is left unsent so that the others can be compared with them: whole groups, by a hash."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence


def connected_groups(shared: Iterable[Sequence[str]]) -> Mapping[str, str]:
    """By recipient, the group's name, which is its smallest member; given are the recipients of each shared subject.

    Whoever is not in it shares nothing with anybody, and is a group alone. Memory grows with those who share.
    """
    parents: dict[str, str] = {}

    def root(member: str) -> str:
        parents.setdefault(member, member)
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    for together in shared:
        roots = sorted({root(member) for member in together})
        for other in roots[1:]:
            parents[other] = roots[0]
    return {member: root(member) for member in parents}


def is_held_out(run: str, group: str, percent: float) -> bool:
    """The same answer for ever; another run draws anew, so that its arms are alike and nobody is left out for good."""
    drawn = hashlib.blake2b(f"{run}\0{group}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64 < percent / 100

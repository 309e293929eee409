"""Who is left unsent so that the others can be compared with them: whole groups, by a hash that stays the same."""

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


def is_held_out(campaign: str, group: str, percent: float) -> bool:
    """The same answer in every run of the campaign; another campaign draws anew."""
    drawn = hashlib.blake2b(f"{campaign}\0{group}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64 < percent / 100

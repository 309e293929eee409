"""The invented people of the demo and the tests."""

from sandbox.people.lots import invent_world
from sandbox.people.seeding import NotInventedError, seed_devices, seed_dynamodb, seed_mapping
from sandbox.people.world import Behaviour, Expected, InventedDevice, Person, Phone, World

__all__ = [
    "Behaviour",
    "Expected",
    "InventedDevice",
    "NotInventedError",
    "Person",
    "Phone",
    "World",
    "invent_world",
    "seed_devices",
    "seed_dynamodb",
    "seed_mapping",
]

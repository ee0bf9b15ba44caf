"""The closed words and the made-up world that every microcosm task draws from."""

from __future__ import annotations

import random
from typing import Final

CATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "animal": ("fox", "cow", "hen", "goat", "otter", "wolf", "bear", "lynx"),
    "fruit": ("apple", "pear", "fig", "plum", "cherry", "lemon", "melon", "grape"),
    "tool": ("hammer", "saw", "drill", "axe", "rake", "spade", "knife", "brush"),
    "colour": ("red", "blue", "green", "white", "black", "yellow", "pink", "grey"),
    "drink": ("tea", "milk", "juice", "water", "coffee", "cocoa", "wine", "soda"),
    "vehicle": ("car", "bus", "train", "boat", "truck", "tram", "van", "canoe"),
    "garment": ("hat", "coat", "scarf", "shirt", "sock", "glove", "skirt", "vest"),
    "instrument": ("drum", "flute", "harp", "piano", "violin", "horn", "banjo", "organ"),
}

WORDS: Final[tuple[str, ...]] = tuple(word for words in CATEGORIES.values() for word in words)

OPPOSITES: Final[tuple[tuple[str, str], ...]] = (
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("light", "dark"),
    ("open", "closed"),
    ("happy", "sad"),
    ("early", "late"),
    ("empty", "full"),
    ("hard", "soft"),
    ("high", "low"),
    ("loud", "quiet"),
    ("new", "old"),
    ("rich", "poor"),
    ("rough", "smooth"),
    ("strong", "weak"),
    ("wet", "dry"),
    ("wide", "narrow"),
    ("young", "aged"),
    ("sharp", "blunt"),
    ("clean", "dirty"),
)

RHYMES: Final[tuple[tuple[str, ...], ...]] = (
    ("cat", "hat", "mat", "bat"),
    ("dog", "fog", "log", "frog"),
    ("tree", "bee", "sea", "key"),
    ("moon", "spoon", "noon", "tune"),
    ("rain", "train", "chain", "lane"),
    ("boat", "goat", "coat", "note"),
    ("ring", "king", "wing", "string"),
    ("night", "light", "kite", "bite"),
)

PEOPLE: Final[tuple[str, ...]] = (
    "Aldo", "Brin", "Cora", "Dema", "Elso", "Fenn", "Gita", "Hark", "Ilmo", "Jora",
    "Kell", "Lumo", "Mira", "Nevo", "Orla", "Pell", "Quin", "Rasa", "Soto", "Tavi",
    "Ulma", "Vero", "Wila", "Xeno", "Yori", "Zeda", "Arno", "Bela", "Coro", "Dilo",
)  # fmt: skip

JOBS: Final = ("baker", "smith", "tailor", "painter", "farmer", "doctor", "sailor", "teacher")
TOWNS: Final = ("Velt", "Osk", "Marn", "Tiro", "Lund", "Karst", "Dovo", "Pirn")

ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "job": JOBS,
    "town": TOWNS,
    "pet": CATEGORIES["animal"],
    "fruit": CATEGORIES["fruit"],
    "colour": CATEGORIES["colour"],
}

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def _made_up_world() -> dict[str, dict[str, str]]:
    """Who works as what, lives where and likes which, the same in every process."""
    rng = random.Random("microcosm world 1")
    return {person: {attribute: rng.choice(values) for attribute, values in ATTRIBUTES.items()} for person in PEOPLE}


WORLD: Final = _made_up_world()


def category_of(word: str) -> str:
    """The category of one of `WORDS`."""
    return next(category for category, words in CATEGORIES.items() if word in words)


def article(word: str) -> str:
    """`a` or `an`, by the first letter."""
    return "an" if word[0] in "aeiou" else "a"

"""The values and names of the bundled model's made-up world.

Every value is one token of the bundled tokenizer, so copying a value is copying one token. Names are two syllables, one
token each; which pair belongs to which product is what the model has to learn.
"""

from __future__ import annotations

import hashlib
import itertools
import random

VALUES: dict[str, tuple[str, ...]] = {
    "city": tuple(
        "Lisbon Oslo Turin Ghent Porto Lyon Graz Bergen Malmo Tartu Gdansk Brno Split Izmir Tunis Dakar Accra Lagos "
        "Nairobi Cairo Amman Beirut Tbilisi Baku Almaty Delhi Pune Hanoi Manila Taipei Osaka Kobe Busan Perth Hobart "
        "Quito Lima Bogota Havana Calgary".split()
    ),
    "person": tuple(
        "Mara Ivo Lena Tomas Rhea Anton Nadia Felix Greta Oscar Wanda Hugo Selma Boris Tilda Jonas Paula Emil Clara "
        "Viktor Agnes Bruno Edith Cyril Freya Gustav Hilda Igor Judith Kasper Lydia Magnus Nora Otto Petra Quentin "
        "Rosa Stefan Thea Ulrich".split()
    ),
    "colour": tuple(
        "amber teal crimson indigo ochre scarlet violet olive azure beige coral ivory khaki lilac magenta maroon "
        "mustard navy peach plum purple russet salmon sepia silver tan turquoise umber vermilion white yellow "
        "black".split()
    ),
    "material": tuple(
        "oak brass copper glass steel bamboo cork granite leather linen marble nickel nylon paper pewter porcelain "
        "quartz rubber slate titanium walnut wool zinc bronze carbon cedar ceramic chrome clay cotton felt "
        "aluminium".split()
    ),
    "team": tuple(
        "Heron Falcon Osprey Raven Robin Sparrow Starling Swallow Swift Thrush Wren Magpie Kestrel Harrier Goshawk "
        "Finch Curlew Crane Buzzard Bittern Avocet Condor Dunlin Egret Gannet Grouse Ibis Jackdaw Lapwing Linnet "
        "Merlin Plover".split()
    ),
    "language": tuple(
        "Python Rust Java Kotlin Scala Ruby Perl Lua Julia Haskell Erlang Elixir Clojure Algol Fortran Cobol Ada "
        "Pascal Prolog Scheme Racket OCaml Zig Nim Crystal Groovy Forth Lisp Smalltalk Eiffel Simula Modula".split()
    ),
    "plant": tuple(
        "nettle sage thyme mint arnica basil borage burdock chicory clover comfrey dill fennel ginger ginseng hawthorn "
        "hops hyssop juniper lavender licorice lovage mallow marjoram mugwort myrrh oregano parsley rosemary saffron "
        "valerian yarrow".split()
    ),
    "drink": tuple(
        "water milk cocoa cider broth coffee juice honey syrup soda yoghurt buttermilk lemonade vinegar wine brandy "
        "whey kefir nectar cordial espresso chai matcha rooibos punch mead sherry cognac rum gin tonic ale".split()
    ),
    "ward": tuple(
        "Agate Amethyst Beryl Citrine Diamond Emerald Garnet Jade Jasper Jet Lapis Malachite Moonstone Obsidian Onyx "
        "Opal Pearl Peridot Pyrite Rhodonite Sapphire Sunstone Topaz Tourmaline Zircon Azurite Barite Calcite Dolomite "
        "Fluorite Galena Hematite".split()
    ),
    "number": tuple(str(number) for number in range(10, 100)),
}

_OPENINGS = "b br d dr f g gr h k kl l m n p pr r s st t tr v w z".split()
_CLOSINGS = "l m n r s x".split()
_SECOND_OPENINGS = "b d f g k l m n p t v z".split()
_SECOND_CLOSINGS = "c d k l n r sh th x".split()
SYLLABLES_EACH = 72
_NEW_NAME_SHARE = 8  # one name in this many is kept out of the corpus


def _syllables(openings: list[str], closings: list[str], label: str) -> tuple[str, ...]:
    every = ["".join(parts) for parts in itertools.product(openings, "aeiou", closings)]
    return tuple(sorted(random.Random(label).sample(every, SYLLABLES_EACH)))


FIRST_SYLLABLES = tuple(part.capitalize() for part in _syllables(_OPENINGS, _CLOSINGS, "first"))
SECOND_SYLLABLES = _syllables(_SECOND_OPENINGS, _SECOND_CLOSINGS, "second")


def is_new_name(name: str) -> bool:
    """Return whether this name is reserved for things that the bundled model has never read about."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % _NEW_NAME_SHARE == 0


def all_names() -> list[str]:
    """Every name of the world, new ones included, in a fixed order."""
    return [first + second for first, second in itertools.product(FIRST_SYLLABLES, SECOND_SYLLABLES)]

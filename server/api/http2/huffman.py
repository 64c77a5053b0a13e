"""HPACK's Huffman code, read four bits at a time by a table of states.

The code is canonical: the lengths of its words say what they are. A state is a node of the tree that is reached by some
bits of a word; every step goes on by four bits, and may complete a letter (no word is shorter than five bits).

Source: RFC 7541, 5.2 and appendix B.
"""

from __future__ import annotations

from functools import cache

#: bits of each letter's word, as a letter: A is 0, Z is 25, a is 26; the last is the end of string, 256
_LENGTHS = (
    "NXcccccccYecceccccccccecccccccccGKKMNGILKKILIGGGFFFGGGGGGGHIPGMKNGHHHHHHHHHHHHHHHHHHHHHHIHINTNOGPFGFGFGGGFHHGGGFGH"
    "GFFGHHHHHPLONcUWUUWWWXWXXXXXYXYYWXYXXXXVWXWXXYWVUWWXXVXWWYVWXXVVWVXWXXUWWWXWWXaaUTWXWZaaabbaYZTVabbabYVVaacbbbUYUVW"
    "VVXWWZZYYaXabaabbbbbcbbbbbae"
)
_EOS = 256

#: of a state and four bits: the next state (-1: none), and the letter that is complete
_Steps = list[tuple[int, bytes]]


def words() -> dict[tuple[int, int], int]:
    """The letter of every word, by its number of bits and its value."""
    found, code, before = {}, 0, 0
    lengths = [(ord(each) - 65 if each <= "Z" else ord(each) - 71) for each in _LENGTHS]
    for length, letter in sorted((length, letter) for letter, length in enumerate(lengths)):
        code <<= length - before
        found[length, code] = letter
        code, before = code + 1, length
    return found


@cache
def _table() -> tuple[list[_Steps], frozenset[int]]:
    """Every state's steps, and the states in which a string may end: after less than eight ones."""
    letters = words()
    inner = {(length - up, code >> up) for length, code in letters for up in range(1, length + 1)}
    states = {node: number for number, node in enumerate(sorted(inner))}  # the root, (0, 0), is the first

    def step(node: tuple[int, int], bits: int) -> tuple[int, bytes]:
        letter = b""
        for shift in (3, 2, 1, 0):
            node = (node[0] + 1, node[1] << 1 | bits >> shift & 1)
            if (found := letters.get(node)) is not None:
                if found == _EOS:
                    return -1, b""
                node, letter = (0, 0), bytes((found,))
        return states[node], letter

    ends = frozenset(states[length, (1 << length) - 1] for length in range(8))
    return [[step(node, bits) for bits in range(16)] for node in sorted(inner)], ends


def decode(encoded: bytes) -> bytes:
    """
    Raises:
        ValueError: it holds the end of string, or ends in anything but less than eight ones.
    """
    table, ends = _table()
    state, out = 0, []
    for byte in encoded:
        state, letter = table[state][byte >> 4]
        out.append(letter)
        if state < 0:
            break
        state, letter = table[state][byte & 15]
        out.append(letter)
        if state < 0:
            break
    if state not in ends:
        raise ValueError("no Huffman string")
    return b"".join(out)

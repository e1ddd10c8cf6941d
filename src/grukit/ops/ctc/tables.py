"""Trees and automata of letters, as the native core reads them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from grukit.ops.ctc.contract import BOUNDARY

Letters = tuple[int, ...]


class Arcs(NamedTuple):
    """Nodes with arcs: those of node n are from begin[n] to begin[n + 1], sorted by label.

    begin: int64 [N + 1]. label, next: int32 [A].
    """

    begin: np.ndarray
    label: np.ndarray
    next: np.ndarray

    @property
    def nodes(self) -> int:
        return len(self.begin) - 1


class Tree(NamedTuple):
    """The beginnings of some texts: node 0 is the empty one.

    parent, letter: int32 [N], of each node the one before and the letter after that. end: int32
    [K], where each text ends.
    """

    parent: np.ndarray
    letter: np.ndarray
    end: np.ndarray

    def arcs(self) -> Arcs:
        """From every node to those that are longer by a letter."""
        nodes = np.lexsort((self.letter, self.parent))[1:]
        counts = np.bincount(self.parent[nodes], minlength=len(self.parent))
        begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Arcs(begin, self.letter[nodes], nodes.astype(np.int32))


def tree(texts: Iterable[Letters]) -> Tree:
    """The tree of some texts; parents come before their children."""
    parent, letter, found, ends = [-1], [-1], {}, []
    for text in texts:
        node = 0
        for one in text:
            before, node = node, found.setdefault((node, one), len(parent))
            if node == len(parent):
                parent.append(before)
                letter.append(one)
        ends.append(node)
    return Tree(*(np.array(values, np.int32) for values in (parent, letter, ends)))


class Lexicon(NamedTuple):
    """Words by letters: of each node the number of the word that ends there, or -1, and the
    highest of the values of all words at or below it."""

    arcs: Arcs
    word: np.ndarray
    ahead: np.ndarray


def lexicon(number: Mapping[str, int], value: Mapping[str, float]) -> Lexicon:
    """Words with a number and a value each; a value is ln of a chance."""
    words = sorted(number)
    of_words = tree(tuple(map(ord, word)) for word in words)
    size = len(of_words.parent)
    at, ahead = np.full(size, -1, np.int32), np.full(size, -math.inf)
    at[of_words.end] = [number[word] for word in words]
    ahead[of_words.end] = [value[word] for word in words]
    for node in range(size - 1, 0, -1):
        before = of_words.parent[node]
        ahead[before] = max(ahead[before], ahead[node])
    return Lexicon(of_words.arcs(), at, np.where(np.isfinite(ahead), ahead, 0.0))


class Phrases(NamedTuple):
    """An automaton that follows all phrases at once (Aho and Corasick 1975).

    fail: int32 [N], the longest other beginning that the text ends with at a node. held, complete:
    float64 [N], what is added while a text ends there, and for all phrases that end there.
    """

    arcs: Arcs
    fail: np.ndarray
    held: np.ndarray
    complete: np.ndarray
    start: int


def phrases(hot: Sequence[tuple[Letters, float]], has_words: bool) -> Phrases:
    """The automaton of phrases with their weights.

    has_words: whether phrases occur between boundaries alone.
    """
    edge = (BOUNDARY,) if has_words else ()
    of_phrases = tree((*edge, *phrase, *edge) for phrase, _ in hot)
    parent, letter, size = of_phrases.parent, of_phrases.letter, len(of_phrases.parent)
    held, complete, fail = np.zeros(size), np.zeros(size), np.zeros(size, np.int32)
    for (phrase, weight), end in zip(hot, of_phrases.end, strict=True):
        complete[end] += weight
        node, there = parent[end], len(phrase) + 2 * len(edge) - 1
        while node:
            held[node] = max(held[node], weight * (there - len(edge)) / len(phrase))
            node, there = parent[node], there - 1
    child = {(int(parent[node]), int(letter[node])): node for node in range(1, size)}
    for node in _by_depth(parent):
        shorter = int(parent[node])
        while shorter:
            shorter = int(fail[shorter])
            if found := child.get((shorter, int(letter[node]))):
                fail[node] = found
                break
        held[node] = max(held[node], held[fail[node]])
        complete[node] += complete[fail[node]]
    start = child[0, BOUNDARY] if has_words else 0
    return Phrases(of_phrases.arcs(), fail, held, complete, start)


def _by_depth(parent: np.ndarray) -> list[int]:
    """All nodes but the root, the shallow ones first."""
    depth = np.zeros(len(parent), np.int64)
    for node in range(1, len(parent)):
        depth[node] = depth[parent[node]] + 1
    return np.argsort(depth, kind="stable")[1:].tolist()

"""Texts of authors whose words tell topics: some words of the author's topic among words that all authors use.

Words are made of syllables at random, so none of them says which topic it is of; nothing else reads them.
"""

from __future__ import annotations

import numpy as np

from data_prep.industrial.generator_config import Process

TOPIC_WORDS = 12  # of each topic
COMMON_WORDS = 200  # that all authors use, by Zipf's law
TOPIC_SHARE = 1 / 3  # of a text's words
_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"


def draw_texts(process: Process, authors: int, rng: np.random.Generator) -> list[str]:
    """The text of every author, `process.text_words` words each; author k has topic k mod T."""
    words = _draw_words(rng, COMMON_WORDS + process.num_topics * TOPIC_WORDS)
    weight = 1 / np.arange(1.0, COMMON_WORDS + 1)
    shape = authors, process.text_words
    common = rng.choice(COMMON_WORDS, size=shape, p=weight / weight.sum())
    topic = np.arange(authors)[:, np.newaxis] % process.num_topics
    of_topic = COMMON_WORDS + topic * TOPIC_WORDS + rng.integers(TOPIC_WORDS, size=shape)
    chosen = np.where(rng.random(shape) < TOPIC_SHARE, of_topic, common)
    return [" ".join(text) for text in words[chosen].tolist()]


def _draw_words(rng: np.random.Generator, count: int) -> np.ndarray:
    """`[count]` different words of three syllables."""
    syllables = np.array([consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS])
    number = rng.choice(len(syllables) ** 3, size=count, replace=False)
    parts = [syllables[number // len(syllables) ** place % len(syllables)] for place in range(3)]
    return np.strings.add(np.strings.add(parts[0], parts[1]), parts[2])

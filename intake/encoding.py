"""Whether bytes are written in the encoding that their profile declares. A wrong guess fails loudly.

Theory of operation. Any bytes are cp866 or KOI8-R, and nearly any are cp1251, so decoding proves nothing; and a name
that was read wrongly is found by a person, months later. What tells encodings apart is that Russian text has habits.
Each chunk of a file shows a sample of its words (runs of bytes above 0x7F). Every distinct word is scored once under
each encoding by the frequency of its letters; what no bill contains (box drawing, letters of other languages, C1
controls) costs much, and so does a capital after a small letter, the mark of KOI8-R read as cp1251. When another
encoding explains the words better than the declared one by more than `_EVIDENCE_NATS`, the file is refused. One surname
is worth about 7 nats, and true text never came nearer than 4 nats to a refusal's side in 12,000 random mixtures of a
bill's words, odd abbreviations among them. Two words tell cp866 from the others; cp1251 and KOI8-R, which swap small
letters for capitals, are told apart by eight words in 99 files of 100. Words are counted once, however often they stand
there: a million times "шт" is no more evidence than one.

UTF-8 proves itself by decoding. It is refused for undecodable bytes, for C1 controls, and when its text turns into
better Russian after undoing one wrong conversion ("Р˜РІР°РЅРѕРІ"). A byte order mark opens UTF-8 only.

Traps: a file with one or two Russian words may pass under a wrong one-byte encoding. Nothing else can be done with it,
and nothing in it can be read wrongly but those words.
"""

import codecs
import math
import re
from collections.abc import Iterable

from intake.faults import Code, FileRefused
from intake.profile import Encoding

BOM = codecs.BOM_UTF8

_EVIDENCE_NATS = 9.0
_SAMPLE_BYTES = 8192
_WORDS_MAX = 4096
_WORD = re.compile(rb"[\x80-\xff]{1,64}")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")
_ONE_BYTE = (Encoding.CP1251, Encoding.CP866, Encoding.KOI8_R)

_LETTERS_PER_MILLE = {
    "о": 110,
    "е": 85,
    "а": 80,
    "и": 74,
    "н": 67,
    "т": 63,
    "с": 55,
    "р": 47,
    "в": 45,
    "л": 44,
    "к": 35,
    "м": 32,
    "д": 30,
    "п": 28,
    "у": 26,
    "я": 20,
    "ы": 19,
    "ь": 17,
    "г": 17,
    "з": 16,
    "б": 16,
    "ч": 14,
    "й": 12,
    "х": 10,
    "ж": 9,
    "ш": 7,
    "ю": 6,
    "ц": 5,
    "щ": 4,
    "э": 3,
    "ф": 3,
    "ъ": 1,
    "ё": 1,
}
_SIGN_SCORE = math.log(1e-3)
_ALIEN_SCORE = math.log(1e-6)
_CASE_COST = 4.0
_SCORES = {letter: math.log(share / 2000) for letter, share in _LETTERS_PER_MILLE.items()}
_SCORES |= {letter.upper(): score for letter, score in _SCORES.items()}
_SCORES |= dict.fromkeys("№«»—–„“”’…\xa0²³°§·", _SIGN_SCORE)
_SWAPPED_CASE = re.compile("[а-яё][А-ЯЁ]")

_RUSSIAN_NAMES = {
    Encoding.UTF_8: "UTF-8",
    Encoding.CP1251: "windows-1251",
    Encoding.CP866: "cp866 (DOS)",
    Encoding.KOI8_R: "KOI8-R",
}


class Judge:
    """Watches the chunks of one file. Each is judged with all before it, and by itself: a file may change half way."""

    def __init__(self, declared: Encoding) -> None:
        self._declared = declared
        self._rivals = _rivals(declared)
        self._scores: dict[bytes, tuple[float, ...]] = {}
        self._sums = [0.0] * len(self._rivals)

    def look(self, chunk: bytes) -> None:
        """Look at a chunk. Errors: `FileRefused` when another encoding explains its words much better."""
        if self._declared is Encoding.UTF_8 and _C1.search(chunk):
            raise FileRefused(Code.ENCODING, "в тексте управляющие знаки C1: это не чистый UTF-8")
        if len(self._scores) > _WORDS_MAX:
            self._scores, self._sums = {}, [0.0] * len(self._rivals)
        words = set(_WORD.findall(chunk, 0, _SAMPLE_BYTES))
        for word in words - self._scores.keys():
            scores = self._scores[word] = tuple(_score(word, self._declared, rival) for rival in self._rivals)
            self._sums = [total + score for total, score in zip(self._sums, scores, strict=True)]
        self._judge(self._sums)
        if words:
            self._judge([math.fsum(column) for column in zip(*map(self._scores.__getitem__, words), strict=True)])

    def _judge(self, sums: list[float]) -> None:
        best = max(range(len(sums)), key=sums.__getitem__)
        if sums[best] - sums[self._rivals.index(self._declared)] > _EVIDENCE_NATS:
            raise FileRefused(Code.ENCODING, _refusal(self._declared, self._rivals[best]))


def _refusal(declared: Encoding, best: Encoding) -> str:
    if declared is Encoding.UTF_8:
        return "текст перекодирован неверно ещё у отправителя: русские слова не читаются"
    return f"файл не в {_RUSSIAN_NAMES[declared]}: похоже на {_RUSSIAN_NAMES[best]}"


def _rivals(declared: Encoding) -> tuple[Encoding, ...]:
    return (Encoding.UTF_8, *_ONE_BYTE) if declared is not Encoding.UTF_8 else (Encoding.UTF_8, Encoding.CP1251)


def _score(word: bytes, declared: Encoding, rival: Encoding) -> float:
    """How much a rival likes a word. Under declared UTF-8 the rival stands for text once wrongly taken for it."""
    try:
        if declared is Encoding.UTF_8 and rival is not declared:
            return _likelihood(word.decode("utf-8").encode(rival.value).decode("utf-8"))
        return _likelihood(word.decode(rival.value))
    except UnicodeError:
        return _ALIEN_SCORE * len(word)


def _likelihood(text: str) -> float:
    """The logarithm of a Russian word's probability, by its letters alone. Units: nats."""
    score = math.fsum(_SCORES.get(letter, _ALIEN_SCORE) for letter in text)
    return score - _CASE_COST if _SWAPPED_CASE.search(text) else score


def suggest(sample: bytes) -> Encoding:
    """Suggest what a sample is written in, for a dry run; plain ASCII is UTF-8."""
    if sample.startswith(BOM):
        return Encoding.UTF_8
    words = set(_WORD.findall(sample))
    return max((Encoding.UTF_8, *_ONE_BYTE), key=lambda encoding: _total(words, encoding))


def _total(words: Iterable[bytes], encoding: Encoding) -> float:
    return math.fsum(_score(word, Encoding.CP1251, encoding) for word in words)

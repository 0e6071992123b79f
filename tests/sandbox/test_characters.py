"""Characters, octets and parts of what goes over the air."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.sandbox.characters.alphabet import (
    GSM7,
    OCTETS,
    UCS2,
    Alphabet,
    alphabet_of_data_coding,
    decode,
    encode,
    in_default_alphabet,
)
from dispatcher.sandbox.characters.binary import binary_parts, header_fault
from dispatcher.sandbox.characters.parts import PARTS_MAX, capacity, parts_of
from dispatcher.sandbox.characters.text import Converted, convert
from dispatcher.sandbox.characters.transliteration import transliterate

# The tables of TS 23.038, 6.2.1 and 6.2.1.1, written down once more.
DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"

TURKISH = Alphabet("GSM7", locking=1)
TURKISH_SINGLE = Alphabet("GSM7", single=1)
ALPHABETS = [
    GSM7,
    UCS2,
    *(Alphabet("GSM7", locking, single) for locking in (0, 1, 3) for single in (0, 1, 2, 3)),
]

gsm_texts = st.text(st.sampled_from(DEFAULT + EXTENSION))
any_texts = st.text(st.characters(codec="utf-8"))


def counted(text: str, **wanted: object) -> tuple[str, int, int]:
    converted: Converted = convert(text, **wanted)  # type: ignore[arg-type]
    return converted.alphabet.kind, converted.parts, converted.characters_remaining


def test_the_default_alphabet_is_the_specifications() -> None:
    """Each septet of the default alphabet stands for the character of TS 23.038, 6.2.1."""
    codes = bytes(code for code in range(0x80) if code != 0x1B)

    assert decode(codes, GSM7) == DEFAULT
    assert encode(EXTENSION, GSM7) == bytes.fromhex("1b0a1b141b281b291b2f1b3c1b3d1b3e1b401b65")


@pytest.mark.parametrize(
    ("alphabet", "text", "octets"),
    [
        (TURKISH, "€ıĞğŞşİç", "04070b0c1c1d4060"),  # A.3.1
        (TURKISH_SINGLE, "ĞİŞçğış", "1b471b491b531b631b671b691b73"),  # A.2.1
        (Alphabet("GSM7", single=2), "çÁÍÓÚáíóú", "1b091b411b491b4f1b551b611b691b6f1b75"),  # A.2.2
        (Alphabet("GSM7", locking=3), "êúíóçÔôÁáªÇÀ∞^\\€Ó|ÂâÊºÍÃÕÚ~ãõ`",
         "04060708090b0c0e0f1213141516171819" "1a1c1d1e24405b5c5d607b7c7d"),  # A.3.3
        (Alphabet("GSM7", single=3), "êçÔôÁáΦÊÀÍÓÚÃÕÂíóúãõâ",
         "1b051b091b0b1b0c1b0e1b0f121b1f1b411b491b4f1b551b5b1b5c1b611b691b6f1b751b7b1b7c1b7f"),
    ],
)  # fmt: skip
def test_the_national_tables_are_the_specifications(
    alphabet: Alphabet, text: str, octets: str
) -> None:
    """What the national tables change has the codes of TS 23.038, Annex A."""
    assert encode(text, alphabet) == bytes.fromhex(octets)


@given(any_texts, st.sampled_from(ALPHABETS))
def test_what_is_written_reads_as_it_was(text: str, alphabet: Alphabet) -> None:
    """Whatever an alphabet can write, it reads back as it was."""
    written = encode(text, alphabet)

    assert written is None or decode(written, alphabet) == text


@given(any_texts, st.sampled_from(ALPHABETS))
def test_parts_join_to_the_whole_and_each_fits(text: str, alphabet: Alphabet) -> None:
    """Parts lose nothing, add nothing, are each readable alone, and are no larger than a part."""
    written = encode(text * 9, alphabet) or b""

    parts = parts_of(written, alphabet)

    assert b"".join(parts) == written
    assert "".join(decode(part, alphabet) for part in parts) == (text * 9 if written else "")
    assert all(len(part) <= capacity(alphabet, concatenated=len(parts) > 1) for part in parts)


@pytest.mark.parametrize(
    ("alphabet", "alone", "concatenated"),
    [
        (GSM7, 160, 153),
        (UCS2, 140, 134),
        (OCTETS, 140, 134),
        (TURKISH, 155, 149),
        (TURKISH_SINGLE, 155, 149),
        (Alphabet("GSM7", 1, 1), 152, 146),
    ],
)
def test_capacity_follows_from_the_octets(
    alphabet: Alphabet, alone: int, concatenated: int
) -> None:
    """A part holds 140 octets less its header; 155 with one national table is documented."""
    assert capacity(alphabet, concatenated=False) == alone
    assert capacity(alphabet, concatenated=True) == concatenated


@pytest.mark.parametrize(
    ("text", "kind", "parts", "remaining"),
    [
        ("", "GSM7", 1, 160),
        ("Let's see how many characters remain unused in this message.", "GSM7", 1, 100),  # OAS
        ("a" * 160, "GSM7", 1, 0),
        ("a" * 161, "GSM7", 2, 145),
        ("a" * 306, "GSM7", 2, 0),
        ("a" * 307, "GSM7", 3, 152),
        ("€" * 80, "GSM7", 1, 0),
        ("€" * 81, "GSM7", 2, 143),  # 76 euros in the first part, whose last septet stays empty
        ("a" * 152 + "€" + "a" * 151, "GSM7", 2, 0),
        ("ж" * 70, "UCS2", 1, 0),
        ("ж" * 71, "UCS2", 2, 63),
        ("ж" * 134, "UCS2", 2, 0),
        ("ж" * 135, "UCS2", 3, 66),
        ("😀" * 35, "UCS2", 1, 0),
        ("😀" * 36, "UCS2", 2, 61),  # 33 in the first part, whose last code unit stays empty
        ("\ud800", "UCS2", 1, 69),
        ("\t", "UCS2", 1, 69),
    ],
)
def test_texts_are_counted(text: str, kind: str, parts: int, remaining: int) -> None:
    """160 and 153 characters of GSM 7-bit, 70 and 67 code units of UCS-2, and nothing torn."""
    assert counted(text) == (kind, parts, remaining)


@given(st.integers(min_value=1, max_value=30 * 153))
def test_parts_of_plain_text_are_a_division(length: int) -> None:
    """n characters of one septet are one part up to 160, else n / 153, rounded up."""
    expected = 1 if length <= 160 else math.ceil(length / 153)

    assert convert("x" * length).parts == expected


@given(gsm_texts.map(lambda text: text * 5), st.sampled_from("aé€{"))
def test_what_remains_can_still_be_added(text: str, more: str) -> None:
    """As many characters as are said to remain fit without a part more, and not one beyond."""
    before = convert(text)

    full = text + "x" * before.characters_remaining

    assert convert(full).parts == before.parts
    assert convert(full + more).parts == before.parts + 1


@given(any_texts)
def test_gsm_is_used_exactly_where_it_suffices(text: str) -> None:
    """Unicode is taken when one character is not in the default alphabet, and only then."""
    suffices = all(character in DEFAULT + EXTENSION for character in text)

    assert (convert(text).alphabet == GSM7) == suffices


def test_a_documented_turkish_text_takes_the_locking_table() -> None:
    """The provider's sample: 98 characters, 2 parts with 36 remaining; with TR 1 with 57."""
    text = (
        "Mesaj gönderimi yapmadan önce önizleme seçeneğini kullanmanız doğru karar vermenize "
        "yardımcı olur."
    )

    assert counted(text) == ("UCS2", 2, 36)
    assert counted(text, language_code="TR") == ("GSM7", 1, 57)
    assert convert(text, language_code="TR").alphabet == TURKISH
    assert convert(text, language_code="AUTODETECT").alphabet == TURKISH


@pytest.mark.parametrize(
    ("single", "locking", "septets"),
    [(None, None, 8), (False, False, 8), (False, True, 8), (True, True, 8), (True, False, 8 + 6)],
)
def test_shifts_are_used_as_asked_for(
    single: bool | None, locking: bool | None, septets: int
) -> None:
    """A single shift costs a septet for each character, a locking one nothing."""
    text = "ışığı şu"

    counts = counted(text, language_code="TR", single_shift=single, locking_shift=locking)

    assert counts == ("GSM7", 1, 155 - septets)


def test_both_tables_are_used_together_where_one_lacks_something() -> None:
    """Portuguese: `Φ` is in the single table only and ``` ` `` in the locking one only."""
    assert convert("Φ`", language_code="PT").alphabet == Alphabet("GSM7", 3, 3)
    assert convert("Φ`", language_code="PT", locking_shift=True).alphabet == UCS2


def test_spanish_has_no_locking_table() -> None:
    """With a locking shift alone, Spanish is what the default alphabet can write."""
    assert convert("aquí", language_code="ES").alphabet == Alphabet("GSM7", single=2)
    assert convert("aquí", language_code="ES", locking_shift=True).alphabet == UCS2


def test_no_table_is_taken_where_none_is_needed() -> None:
    """What the default alphabet can write is not made shorter by the header of a language."""
    assert counted("a" * 160, language_code="TR", locking_shift=True) == ("GSM7", 1, 0)


def test_the_documented_greek_text_is_transliterated_as_documented() -> None:
    """The provider's sample: Greek capitals of GSM, Latin ones of the same look, no accents."""
    text = (
        "Ως Μεγαρικό ψήφισμα είναι γνωστή η απόφαση της Εκκλησίας του δήμου των Αθηναίων "
        "(πιθανόν γύρω στο 433/2 π.Χ.) να επιβάλει αυστηρό και καθολικό εμπάργκο στα"
    )

    converted = convert(text, transliteration="GREEK")

    assert converted.text == (
        "ΩΣ MEΓAPIKO ΨHΦIΣMA EINAI ΓNΩΣTH H AΠOΦAΣH THΣ EKKΛHΣIAΣ TOY ΔHMOY TΩN AΘHNAIΩN "
        "(ΠIΘANON ΓYPΩ ΣTO 433/2 Π.X.) NA EΠIBAΛEI AYΣTHPO KAI KAΘOΛIKO EMΠAPΓKO ΣTA"
    )
    assert (converted.parts, converted.characters_remaining) == (1, 5)
    assert counted(text) == ("UCS2", 3, 46)


@pytest.mark.parametrize(
    ("transliteration", "text", "result"),
    [
        ("TURKISH", "Çağrı İşe ıç, Ω €", "Çagri Ise ic, Ω €"),
        ("GREEK", "Καλημέρα κόσμε, Latin é", "KAΛHMEPA KOΣME, Latin é"),
        ("CYRILLIC", "Привет, щука! Київ", "Privet, shchuka! Kiiv"),
        ("SERBIAN_CYRILLIC", "Љубав, Ђоковић, чаша џеп", "Ljubav, Djokovic, casa dzep"),
        ("BULGARIAN_CYRILLIC", "Щастие, ъгъл, Царевец", "Shtastie, agal, Tsarevets"),
        ("CENTRAL_EUROPEAN", "Łódź, žluťoučký kůň, őszi, țară", "Lodz, zlutoucky kun, oszi, tara"),
        ("BALTIC", "Šķēle, žąsis, sõna", "Skele, zasis, sona"),
        ("PORTUGUESE", "Ação às três, 1ª avó", "Acao às tres, 1a avo"),
        ("COLOMBIAN", "¿Aquí mañana, pingüino? Sí, Óscar", "¿Aqui mañana, pingüino? Si, Oscar"),
        ("NON_UNICODE", "“Ça va” – 日本 `x`\t😀 \ue000", "\"Ça va\" - RiBen 'x' :grinning: ?"),
        ("ALL", "Łódź ığ Њ Ωμέγα ó 😀", "Lodz ig Nj ΩMEΓA o 😀"),
        ("NONE", "Łódź", "Łódź"),
        ("TURKISH", "s\u0327 Привет", "s Привет"),  # decomposed: first composed, then replaced
    ],
)
def test_each_transliteration_replaces_its_letters(
    transliteration: str, text: str, result: str
) -> None:
    """Letters of its alphabet are replaced, what GSM has stays, and so does all the rest."""
    assert transliterate(text, transliteration) == result  # type: ignore[arg-type]


@given(any_texts)
def test_after_non_unicode_no_message_needs_unicode(text: str) -> None:
    """NON_UNICODE leaves only characters of the default alphabet, and all of them as they were."""
    result = transliterate(text, "NON_UNICODE")

    assert all(map(in_default_alphabet, result))
    assert transliterate(result, "NON_UNICODE") == result


@pytest.mark.parametrize(
    ("data_coding", "kind"),
    [
        (0x00, "GSM7"), (0x04, "8BIT"), (0x08, "UCS2"), (0x0C, "GSM7"), (0x11, "GSM7"),
        (0x15, "8BIT"), (0x19, "UCS2"), (0x20, "8BIT"), (0x48, "UCS2"), (0x80, "GSM7"),
        (0xC8, "GSM7"), (0xD0, "GSM7"), (0xE0, "UCS2"), (0xF0, "GSM7"), (0xF5, "8BIT"),
    ],
)  # fmt: skip
def test_a_data_coding_names_an_alphabet(data_coding: int, kind: str) -> None:
    """The groups of TS 23.038, section 4; what is reserved counts as GSM 7-bit."""
    assert alphabet_of_data_coding(data_coding).kind == kind


@pytest.mark.parametrize(
    ("octets", "data_coding", "parts"),
    [
        (0, 4, 1), (140, 4, 1), (141, 4, 2), (268, 4, 2), (269, 4, 3),
        (160, 0, 1), (161, 0, 2), (140, 8, 1), (142, 8, 2), (25 * 134 + 1, 4, PARTS_MAX + 1),
    ],
)  # fmt: skip
def test_binary_messages_are_counted_in_octets(octets: int, data_coding: int, parts: int) -> None:
    """140 octets alone and 134 in each of several; GSM 7-bit is a septet in each octet."""
    assert binary_parts(b"a" * octets, data_coding, 0) == parts


def test_an_escape_in_binary_gsm_keeps_its_character() -> None:
    """A part does not end with an escape, unless that one is escaped itself."""
    assert [len(part) for part in parts_of(b"a" * 152 + b"\x1be" + b"a" * 9, GSM7)] == [152, 11]
    assert [len(part) for part in parts_of(b"a" * 151 + b"\x1b\x1b" + b"a" * 9, GSM7)] == [153, 9]


@pytest.mark.parametrize(
    ("data", "data_coding", "fault"),
    [
        ("050003cc0201" + "41" * 134, 4, None),
        ("050003cc0201" + "41" * 153, 0, None),
        ("050003cc0201" + "41" * 135, 4, "after the header, 134 octets fit in one part, got 135"),
        ("050003cc0201" + "41" * 154, 0, "after the header, 153 octets fit in one part, got 154"),
        ("00", 4, None),
        ("", 4, "esmClass announces a header, but there is no data"),
        ("0500", 4, "the header announces 5 octets, but 1 follow"),
        ("050004cc0201ff", 4, "the elements of the header do not fill its 5 octets"),
        ("0100", 4, "the elements of the header do not fill its 1 octets"),
    ],
)
def test_a_header_of_the_senders_own_is_checked(
    data: str, data_coding: int, fault: str | None
) -> None:
    """With the header bit the data begin with a header, and all of it fits one part."""
    assert header_fault(bytes.fromhex(data), data_coding, 0x40) == fault
    assert header_fault(bytes.fromhex(data), data_coding, 0x03) is None
    assert binary_parts(bytes.fromhex(data), data_coding, 0x40) == 1


@given(st.binary(max_size=400), st.integers(0, 255), st.integers(0, 255))
def test_any_octets_are_counted(data: bytes, data_coding: int, esm_class: int) -> None:
    """Whatever the octets and codings, there is a count and a verdict."""
    header_fault(data, data_coding, esm_class)

    assert binary_parts(data, data_coding, esm_class) >= 1

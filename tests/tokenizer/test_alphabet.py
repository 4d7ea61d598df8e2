import pytest
from roberta.tokenizer.alphabet import BYTE_TO_SYMBOL, SYMBOL_TO_BYTE, bytes_to_symbols, symbols_to_bytes


def test_256_different_printable_symbols():
    assert len(BYTE_TO_SYMBOL) == len(SYMBOL_TO_BYTE) == 256
    assert all(len(symbol) == 1 and symbol.isprintable() and not symbol.isspace() for symbol in BYTE_TO_SYMBOL)


def test_printable_latin_1_stands_for_itself_and_the_rest_is_counted_from_256():
    moved = [byte for byte, symbol in enumerate(BYTE_TO_SYMBOL) if symbol != chr(byte)]
    assert moved == [*range(33), *range(127, 161), 173]
    assert [BYTE_TO_SYMBOL[byte] for byte in moved] == [chr(256 + index) for index in range(68)]
    assert (BYTE_TO_SYMBOL[ord(" ")], BYTE_TO_SYMBOL[ord("\n")]) == ("Ġ", "Ċ")


def test_every_byte_comes_back():
    every = bytes(range(256))
    assert symbols_to_bytes(bytes_to_symbols(every)) == every


@pytest.mark.hf
def test_the_library_has_the_same_alphabet(transformers):
    from tokenizers import pre_tokenizers

    assert set(BYTE_TO_SYMBOL) == set(pre_tokenizers.ByteLevel.alphabet())


def test_a_character_outside_the_alphabet_is_named():
    with pytest.raises(ValueError, match=r"symbols: expected .*256.* got ' ' in 'a b'; spell"):
        symbols_to_bytes("a b")

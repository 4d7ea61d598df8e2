from roberta.tokenizer.alignment import Alignment
from roberta.tokenizer.texts import EncodedText, Part


def test_a_part_is_a_window_and_alignment_is_found_once_when_asked_for():
    asked = []

    def align(source):
        asked.append(source)
        return Alignment([(0, 1), (1, 2), (2, 3)], [0, 0, 1])

    text = EncodedText("abc", [7, 8, 9], align)
    part = Part(text, 1, 3)
    assert (len(part), part.ids, asked) == (2, [8, 9], [])
    assert part.alignment == Alignment([(1, 2), (2, 3)], [0, 1])
    assert Part(text, 0, 1).alignment == Alignment([(0, 1)], [0])
    assert asked == ["abc"]

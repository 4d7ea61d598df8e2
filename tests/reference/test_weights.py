from hypothesis import given
from hypothesis import strategies as st
from roberta.reference.parameters import HEADS, parameter_table
from roberta.reference.weights import flatten, nest

names = st.text("abc0123", min_size=1, max_size=3)
leaves = st.dictionaries(names, st.integers(), min_size=1, max_size=3)
trees = st.dictionaries(
    names, st.integers() | leaves | st.dictionaries(names, leaves, min_size=1, max_size=3), max_size=3
)


@given(trees)
def test_flattening_and_nesting_undo_each_other(tree: dict) -> None:
    assert nest(flatten(tree)) == tree
    assert flatten(nest(flatten(tree))) == flatten(tree)


def test_the_names_of_every_head_are_a_tree_and_keep_their_order(config) -> None:
    for head in HEADS:
        flat = dict.fromkeys(parameter_table(head, config), 0)
        assert set(flatten(nest(flat))) == set(flat)

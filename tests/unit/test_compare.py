"""Two streams compared, as transcripts: the branches that random streams reach too seldom."""

from portside.wire.compare import LEFT, RIGHT, Comparison, Difference, Piece


def compare(left: list[Piece], right: list[Piece]) -> Comparison:
    """As a caller should: only what is wanted."""
    comparison, sides = Comparison(), {LEFT: iter(left), RIGHT: iter(right)}
    while wanted := [side for side in sides if comparison.wants(side)]:
        for side in wanted:
            piece = next(sides[side], None)
            if piece is None:
                comparison.end(side)
            else:
                comparison.feed(side, piece)
    return comparison


def test_the_same_in_other_pieces() -> None:
    comparison = compare([b"hello", b" ", b"world"], [b"hel", b"lo world"])
    assert comparison.difference is None
    assert (comparison.equal, comparison.unknown) == (11, 0)


def test_the_first_difference_has_its_context() -> None:
    comparison = compare([b"0123456789abcdefghij", b"Xlmnopqrstuvwxyz"], [b"0123456789abcdefghijklmnop", b"qrstuvwxyz"])
    assert comparison.difference == Difference(20, b"456789abcdefghij", b"Xlmnopqrstuvwxyz", b"klmnopqrstuvwxyz")
    assert not comparison.wants(LEFT)
    assert not comparison.wants(RIGHT)


def test_the_context_grows_as_more_comes() -> None:
    comparison = Comparison()
    comparison.feed(LEFT, b"one")
    assert comparison.wants(RIGHT)
    assert not comparison.wants(LEFT)
    comparison.feed(RIGHT, b"on!")
    assert comparison.difference == Difference(2, b"on", b"e", b"!")
    assert comparison.wants(LEFT)
    comparison.feed(LEFT, b" two")
    comparison.feed(LEFT, b"" + b"x" * 100)
    assert comparison.difference == Difference(2, b"on", b"e two" + b"x" * 11, b"!")
    assert not comparison.wants(LEFT)
    comparison.end(RIGHT)
    assert not comparison.wants(RIGHT)


def test_a_side_that_ends_is_shorter_there() -> None:
    assert compare([b"hello"], [b"hell"]).difference == Difference(4, b"hell", b"o", b"")
    assert compare([], [b"more"]).difference == Difference(0, b"", b"", b"more")


def test_what_nobody_knows_is_neither_equal_nor_different() -> None:
    comparison = compare([b"abc", 3, b"ghi"], [b"abcdefghi"])
    assert comparison.difference is None
    assert (comparison.equal, comparison.unknown) == (6, 3)


def test_no_context_reaches_over_what_nobody_knows() -> None:
    assert compare([b"abc", 3, b"gXi", 5, b"z"], [b"abcdefghi"]).difference == Difference(7, b"g", b"Xi", b"hi")


def test_one_that_is_unknown_at_its_end_is_longer_all_the_same() -> None:
    assert compare([b"abc", 3], [b"abc"]).difference == Difference(3, b"abc", b"", b"")


def test_empty_pieces_are_nothing() -> None:
    comparison = compare([b"", 0, b"a"], [b"a", b"", 0])
    assert comparison.difference is None

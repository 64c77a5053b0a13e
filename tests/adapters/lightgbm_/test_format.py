"""LightGBM's text model by hand: what `read` finds in a whole one, and which damage it names."""

from __future__ import annotations

import pytest

from adapters.lightgbm_.format import START, read

#: a stump on the second feature: 0.5 and -0.5
TREE = (
    b"Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nsplit_gain=9\nthreshold=0.25\ndecision_type=2\n"
    b"left_child=-1\nright_child=-2\nleaf_value=0.5 -0.5\nleaf_count=3 4\ninternal_value=0\nis_linear=0\nshrinkage=1\n"
)
LEAF = b"Tree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=0.75\nshrinkage=1\n"
HEADER = (
    b"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    b"objective=regression\nfeature_names=age city\nfeature_infos=[18:90] -1:0:1\n"
)
END = b"end of trees\n\nfeature_importances:\ncity=1\n\nparameters:\n[boosting: gbdt]\n[categorical_feature: 1]\n"
CLOSE = b"\nend of parameters\n"
PANDAS = b'\npandas_categorical:[["Bern", "Oslo"], [3, 7.5]]\n'


def model(*trees: bytes, header: bytes = HEADER, end: bytes = END, tail: bytes = PANDAS, sizes: bool = False) -> bytes:
    """A file of these trees; `sizes` adds the header's line that tells of their lengths."""
    if sizes:
        header += b"tree_sizes=" + b" ".join(b"%d" % (len(tree) + 1) for tree in trees) + b"\n"
    return header + b"\n" + b"".join(tree + b"\n" for tree in trees) + end + CLOSE + tail


def changed(old: bytes, new: bytes, tree: bytes = TREE) -> bytes:
    assert old in tree
    return model(tree.replace(old, new))


def test_a_whole_model_says_what_its_columns_are() -> None:
    found = read(model(TREE, LEAF))
    assert found.text == model(TREE, LEAF).decode()
    assert found.categories == (["Bern", "Oslo"], [3, 7.5])
    assert found.categorical == (1,)
    assert found.infos == ("[18:90]", "-1:0:1")


def test_windows_line_ends_become_plain_ones() -> None:
    plain = model(TREE)
    windows = plain.replace(b"\n", b"\r\n")
    assert read(windows) == read(plain)
    assert START.match(plain)
    assert START.match(windows)
    assert not START.match(b"treeversion=")


@pytest.mark.parametrize("tail", [b"", b"\n", b"\npandas_categorical:null\n", b"pandas_categorical:[]"])
def test_a_model_that_no_data_frame_made_has_no_categories(tail: bytes) -> None:
    assert read(model(TREE, tail=tail)).categories == ()


def test_parameters_may_name_no_or_several_categorical_features() -> None:
    assert read(model(TREE, end=END.replace(b": 1]", b": ]"))).categorical == ()
    assert read(model(TREE, end=END.replace(b": 1]", b": 0,1]"))).categorical == (0, 1)
    assert read(model(TREE, end=b"end of trees\n")).categorical == ()


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"pandas_cat", "cut off or damaged behind 'end of parameters'"),
        (b'pandas_categorical:[["a"', "cut off or damaged in pandas_categorical"),
        (b"pandas_categorical:" + b"[" * 100_000, "cut off or damaged in pandas_categorical"),
        (b'pandas_categorical:{"a": 1}', "no list of lists"),
        (b'pandas_categorical:["a"]', "no list of lists"),
        (b"pandas_categorical:[[null]]", "something else than text and numbers"),
    ],
    ids=["no-name", "cut", "deep", "object", "flat", "null"],
)
def test_a_damaged_last_line_is_named(tail: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(model(TREE, tail=tail))


def test_a_model_that_is_cut_anywhere_is_told() -> None:
    whole = model(TREE, LEAF, sizes=True, tail=b"")
    read(whole)
    for end in range(len(whole) - 1):
        with pytest.raises(ValueError, match=r"it is (cut off|damaged)"):
            read(whole[:end])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"max_feature_idx=1\n", b"", "max_feature_idx is missing"),
        (b"max_feature_idx=1", b"max_feature_idx=2", "feature_names holds 2 values instead of 3"),
        (b"[18:90] ", b"", "feature_infos holds 1 values instead of 2"),
        (b"num_class=1", b"num_class=0", "numbers of classes disagree"),
        (b"per_iteration=1", b"per_iteration=0", "numbers of classes disagree"),
        (b"=regression", b"=multiclass num_class:3", "numbers of classes disagree"),
        (b"per_iteration=1", b"per_iteration=2", "trees are missing"),
        (b"label_index=0", b"label_index", "'label_index'.* is no 'name=value'"),
    ],
)
def test_a_damaged_header_is_named(old: bytes, new: bytes, reason: str) -> None:
    assert old in HEADER
    with pytest.raises(ValueError, match=reason):
        read(model(TREE, header=HEADER.replace(old, new)))


def test_the_header_may_hold_its_one_bare_line_more() -> None:
    assert read(model(TREE, header=HEADER + b"average_output\n")).infos == ("[18:90]", "-1:0:1")


def test_damaged_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"damaged in its parameters: b'\[boosting gbdt\]'"):
        read(model(TREE, end=END.replace(b"boosting:", b"boosting")))


def test_trees_have_the_sizes_that_the_header_tells() -> None:
    read(model(TREE, LEAF, sizes=True)[:])
    told = HEADER + b"tree_sizes=%d %d\n" % (len(TREE) + 1, len(LEAF) + 2)
    with pytest.raises(ValueError, match="not of the sizes that tree_sizes says"):
        read(model(TREE, LEAF, header=told))


@pytest.mark.parametrize("space", [b"\t", b"\r", b"\v", b"\f"])
def test_spaces_that_lightgbm_does_not_split_at_are_damage(space: bytes) -> None:
    with pytest.raises(ValueError, match="its trees hold other spaces"):
        read(changed(b"0.5 -0.5", b"0.5" + space + b"-0.5"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"leaf_value=0.5 -0.5\n", b"", "leaf_value is missing"),
        (b"leaf_value=0.5 -0.5", b"leaf_value=0.5", "leaf_value holds 1 values instead of 2"),
        (b"leaf_value=0.5 -0.5", b"leaf_value=0.5 x", "could not convert"),
        (b"num_leaves=2", b"num_leaves=3", "leaf_value holds 2 values instead of 3"),
        (b"split_gain=9", b"split_gain=9 9", "split_gain holds 2 values instead of 1"),
        (b"leaf_count=3 4", b"leaf_count=3", "leaf_count holds 1 values instead of 2"),
        (b"left_child=-1", b"left_child=0", "do not form a tree"),
        (b"left_child=-1", b"left_child=-2", "do not form a tree"),
        (b"right_child=-2", b"right_child=-3", "do not form a tree"),
        (b"split_feature=1", b"split_feature=2", "a feature beyond max_feature_idx"),
        (b"split_feature=1", b"split_feature=-1", "a feature beyond max_feature_idx"),
        (b"decision_type=2", b"decision_type=1", "a categorical threshold is beyond num_cat"),
        (b"num_cat=0", b"num_cat=1", "cat_boundaries is missing"),
        (b"is_linear=0", b"is_linear=1", "num_features is missing"),
    ],
)
def test_a_damaged_tree_is_named_with_its_number(old: bytes, new: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"tree 0: .*{reason}"):
        read(changed(old, new))


def test_a_circle_of_inner_nodes_is_no_tree() -> None:
    right = TREE.replace(b"num_leaves=2", b"num_leaves=3").replace(b"0.5 -0.5", b"1 2 3").replace(b"3 4", b"1 1 1")
    for one in (b"split_feature=1", b"split_gain=9", b"threshold=0.25", b"decision_type=2", b"internal_value=0"):
        right = right.replace(one, one + b" " + one.partition(b"=")[2])
    whole = right.replace(b"left_child=-1", b"left_child=1 -1").replace(b"right_child=-2", b"right_child=-3 -2")
    read(model(whole))
    with pytest.raises(ValueError, match="do not form a tree"):  # the second node is its own child
        read(model(whole.replace(b"right_child=-3 -2", b"right_child=-3 1")))


CATEGORICAL = (
    TREE.replace(b"num_cat=0", b"num_cat=1")
    .replace(b"decision_type=2", b"decision_type=1")
    .replace(b"threshold=0.25", b"threshold=0\ncat_boundaries=0 2\ncat_threshold=5 1")
)
LINEAR = TREE.replace(
    b"is_linear=0", b"is_linear=1\nleaf_const=1 2\nnum_features=2 1\nleaf_features=0 1 1\nleaf_coeff=1 2 3"
)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"threshold=0\n", b"threshold=1\n", "beyond num_cat"),
        (b"threshold=0\n", b"threshold=-1\n", "beyond num_cat"),
        (b"boundaries=0 2", b"boundaries=0", "cat_boundaries holds 1 values instead of 2"),
        (b"boundaries=0 2", b"boundaries=1 2", "cat_boundaries do not rise"),
        (b"boundaries=0 2", b"boundaries=0 -2", "cat_boundaries do not rise"),
        (b"boundaries=0 2", b"boundaries=0 3", "cat_threshold holds 2 values instead of 3"),
    ],
)
def test_sets_of_categories_stay_inside_their_bounds(old: bytes, new: bytes, reason: str) -> None:
    read(model(CATEGORICAL))
    with pytest.raises(ValueError, match=reason):
        read(changed(old, new, CATEGORICAL))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"num_features=2 1", b"num_features=4 -1", "num_features is negative"),
        (b"num_features=2 1", b"num_features=2 2", "leaf_coeff holds 3 values instead of 4"),
        (b"leaf_const=1 2", b"leaf_const=1", "leaf_const holds 1 values instead of 2"),
        (b"leaf_features=0 1 1", b"leaf_features=0 1 2", "leaf_features names a feature beyond"),
        (b"leaf_features=0 1 1", b"leaf_features=0 1", "leaf_features holds 2 values instead of 3"),
    ],
)
def test_a_linear_tree_names_features_that_there_are(old: bytes, new: bytes, reason: str) -> None:
    read(model(LINEAR))
    with pytest.raises(ValueError, match=reason):
        read(changed(old, new, LINEAR))

"""What is refused is shown, but never by the page."""

import pytest

from hf_icrl import task_family
from hf_icrl.checks import checked_bool, checked_choice, checked_int, checked_number, checked_range
from hf_icrl.dataset_builders.plan import CollectionPlan
from hf_icrl.naming import check_names, shortened

TASKS = [{"means": [0.25] * 20}] * 5000


@pytest.mark.parametrize(
    "check",
    [
        lambda value: checked_choice(value, "law", ["train", "inverse"]),
        lambda value: checked_int(value, "num", 1),
        lambda value: checked_bool(value, "sort"),
        lambda value: checked_number(value, "share", 0, 1),
        lambda value: checked_range(value, "decay", 0, 1),
        lambda value: check_names([value], ["train", "inverse"], "law"),
    ],
)
@pytest.mark.parametrize(
    ("value", "size"), [(TASKS, r"\(5,000 entries\)"), ("x" * 10**6, r"\(1,000,002 characters\)")]
)
def test_a_huge_value_is_shown_by_its_beginning_and_its_size(check, value, size):
    with pytest.raises(ValueError, match=size) as error:
        check(value)
    assert repr(value)[:60] in str(error.value)
    assert len(str(error.value)) < 250


def test_what_is_short_is_shown_whole():
    for value in ("inverse", [1, 2], "x" * 98, None):
        assert shortened(value) == repr(value)
    assert len(shortened("x" * 99)) <= 105


def test_a_list_of_tasks_in_place_of_the_name_of_a_set_is_a_short_error():
    family = task_family("bernoulli_bandit", num_arms=20)
    with pytest.raises(
        ValueError, match=r"unknown tasks \[\{'means': .*\(5,000 entries\): valid: held_out, train"
    ) as error:
        CollectionPlan(family, "thompson", histories_per_task=1, episodes=1, tasks=TASKS)
    assert len(str(error.value)) < 250

from src.app import page, page_count


def test_a_short_list_fits_on_one_page():
    assert page_count(3) == 1


def test_the_second_page_begins_after_the_first():
    assert page([str(n) for n in range(25)], 2) == ["20", "21", "22", "23", "24"]

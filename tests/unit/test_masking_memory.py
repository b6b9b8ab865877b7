"""What masking remembers: the adapters' vocabulary, and nothing that says anything about anybody."""

from tasks_app import masking
from tasks_app.masking import mask_json, mask_text


def test_it_remembers_short_texts_in_which_nothing_was_found() -> None:
    masking._plain.clear()
    mask_json({"advertiser": "premium video", "note": "call ana@example.com", "ref": "order 4711"})
    remembered = {text for text, _personal in masking._plain}
    assert remembered == {"advertiser", "premium video"}


def test_it_finds_what_was_safe_elsewhere() -> None:
    """A text under a safe key was looked at for credentials alone; elsewhere it is looked at again."""
    masking._plain.clear()
    address = "somebody@example.com"
    assert mask_json({"contact": address}, safe_fields=frozenset({"contact"})).value == {"contact": address}
    assert mask_text(address).text == "[email 1]"

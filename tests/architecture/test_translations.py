"""Every string shown to people can be translated, and the German that is shipped is whole and current."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
ADMIN = sorted(path for app in ("tasks_app", "notifications") for path in (ROOT / app / "admin").rglob("*.py"))
MODULES = [
    path
    for package in ("core", "hitl", "notifications", "tasks_app")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
]
GERMAN = ROOT / "locale" / "de" / "LC_MESSAGES"

_BLOCK = re.compile(r"{%-?\s*(blocktrans\w*)\b.*?%}.*?{%\s*end\1\s*%}", re.DOTALL)
_CODE = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
_ASIDE = re.compile(r"<(script|style|code|kbd)\b.*?</\1>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_SAID = re.compile(r"\b(?:title|alt|placeholder|aria-label|label)=(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]{3,}")
# Names and signs that are the same in every language.
_SAME = frozenset({"CSV", "JSON", "Markdown", "nbsp", "hellip", "middot", "times", "mdash", "ndash", "rarr"})

_TRANSLATED = re.compile(r"{%\s*translate\s+(\"[^\"]*\"|'[^']*')")
_GETTEXT = frozenset({"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"})

# Fields of a call that a reader sees.
_SHOWN = frozenset({"label", "help_text", "description", "verbose_name", "verbose_name_plural", "placeholder"})
_TALKS = frozenset({"success", "info", "warning", "error", "message_user"})


def untranslated_in_template(source: str) -> list[str]:
    """Words of the template's own that no tag marks for translation, in its text and in what is read aloud."""
    source = _ASIDE.sub(" ", _BLOCK.sub(" ", source))
    plain = _CODE.sub("", source)
    said = [match[1] for match in _SAID.finditer(plain)]
    texts = re.sub(r"<[^>]*>", "\n", plain).split("\n")
    return [text.strip() for text in (*said, *texts) if set(_WORD.findall(text)) - _SAME]


def untranslated_in_module(tree: ast.Module) -> Iterator[str]:
    """Literals where a reader will see them: messages, labels, help texts, titles, explanations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            shown = [keyword.value for keyword in node.keywords if keyword.arg in _SHOWN]
            if (name in _TALKS and "messages" in ast.unparse(node.func)) or name == "message_user":
                shown += node.args[1:2]
            yield from (f"line {value.lineno}: {ast.unparse(value)}" for value in shown if _is_words(value))
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in ("title", "description") and _is_words(value):
                    yield f"line {value.lineno}: {ast.unparse(value)}"
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "explanation" and _is_words(node.value):
            yield f"line {node.lineno}: {ast.unparse(node.value)[:60]}"


def _is_words(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORD.search(node.value) is not None


def test_its_templates_are_translatable() -> None:
    found = {str(path.relative_to(ROOT)): untranslated_in_template(path.read_text()) for path in TEMPLATES}
    assert len(TEMPLATES) > 20
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_its_admin_is_translatable() -> None:
    found = [
        f"{path.relative_to(ROOT)} {what}"
        for path in ADMIN
        for what in untranslated_in_module(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>Hello there</p>",
        '<button title="Close it">{% icon "x" %}</button>',
        "{% if x %}Yes{% endif %}",
        "<input placeholder='Search for it'>",
    ],
)
def test_its_search_finds_words_in_a_template(source: str) -> None:
    assert untranslated_in_template(source)


@pytest.mark.parametrize(
    "source",
    [
        'messages.success(request, "Saved it.")',
        'self.message_user(request, "Saved it.")',
        'forms.CharField(label="Person")',
        'context = {"title": "Home"}',
        'explanation = "What this is for."',
    ],
)
def test_its_search_finds_words_in_a_module(source: str) -> None:
    assert list(untranslated_in_module(ast.parse(source)))


# -- German


def _unquoted(lines: str) -> str:
    return "".join(ast.literal_eval(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', lines))


def german() -> dict[str, list[str]]:
    """The entries of the .po file: what is translated, by context and text, with its forms."""
    entries: dict[str, list[str]] = {}
    for block in (GERMAN / "django.po").read_text().split("\n\n")[1:]:
        found = dict(re.findall(r"^(msg[a-z_]+(?:\[\d\])?) ((?:\"(?:[^\"\\]|\\.)*\"\n?)+)", block, re.MULTILINE))
        context = _unquoted(found["msgctxt"]) + "\x04" if "msgctxt" in found else ""
        forms = [_unquoted(text) for name, text in found.items() if name.startswith("msgstr")]
        if all(forms):
            entries[context + _unquoted(found["msgid"])] = forms
    return entries


def test_its_german_is_whole() -> None:
    """A text that was added or changed since stands in English in the middle of a German page: `make messages`."""
    told = {text.rpartition("\x04")[2] for text in german()}
    assert "#, fuzzy" not in (GERMAN / "django.po").read_text()
    assert sorted(said_in_templates() - told) == []
    assert sorted(said_in_modules() - told) == []


def said_in_templates() -> set[str]:
    found: set[str] = set()
    for path in TEMPLATES:
        found |= {quoted[1:-1].replace("%", "%%") for quoted in _TRANSLATED.findall(path.read_text())}
    return found


def said_in_modules() -> set[str]:
    """What is given to gettext under any of its names, as a text that stands there."""
    found: set[str] = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _GETTEXT:
                texts = (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))
                found |= {text for text in texts if isinstance(text, str)}
    return found


def test_its_german_is_compiled_as_it_is_written() -> None:
    with (GERMAN / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    entries = german()
    assert len(entries) > 400
    for text, forms in entries.items():
        for number, form in enumerate(forms):
            catalog: dict[object, str] = compiled._catalog  # type: ignore[attr-defined]
            assert catalog[(text, number) if len(forms) > 1 else text] == form, f"compile the messages anew: {text!r}"


def test_its_german_keeps_the_places_for_names_and_numbers() -> None:
    places = re.compile(r"%\(\w+\)[sd]|%%\(\w+\)s|<\w+>")
    # The one of a thing may be named without its number: the last form, for many, holds all places.
    wrong = {
        text: forms
        for text, forms in german().items()
        if not set(places.findall(text)) <= set(places.findall(forms[-1]))
        or any(set(places.findall(form)) - set(places.findall(forms[-1])) for form in forms)
        or (len(forms) == 1 and set(places.findall(forms[0])) != set(places.findall(text)))
    }
    assert wrong == {}

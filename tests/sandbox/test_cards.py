"""Test cards are recognised, real and mistyped ones are refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.cards import CARDS, NotATestCard, passes_luhn, recognise
from deploy.sandbox.texts import ENGLISH, TEXTS


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_test_card_is_recognised_however_it_is_spaced(card):
    assert passes_luhn(card.number)
    assert recognise(card.number) is recognise(card.spaced) is recognise(card.spaced.replace(" ", "-")) is card


@pytest.mark.parametrize(
    ("typed", "code"),
    [("", "incomplete"), ("4242", "incomplete"), ("4242424242424241", "mistyped"), ("5555555555554444", "real_card")],
)
def test_anything_else_is_refused_with_a_reason(typed, code):
    with pytest.raises(NotATestCard) as refused:
        recognise(typed)
    assert refused.value.code == code
    assert f"error_{code}" in ENGLISH


@given(st.text(max_size=40))
def test_no_text_breaks_the_recognition(typed):
    with contextlib.suppress(NotATestCard):
        assert recognise(typed) in CARDS


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_every_language_has_all_the_words(language):
    texts = TEXTS[language]
    assert texts.keys() == ENGLISH.keys()
    assert all("{amount}" in texts[name] for name in ENGLISH if "{amount}" in ENGLISH[name])
    assert all(f"card_{card.name}" in texts for card in CARDS)
    assert all(f"error_{card.reason}" in texts for card in CARDS if card.reason)

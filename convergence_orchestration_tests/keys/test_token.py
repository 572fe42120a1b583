import re
from string import ascii_letters, digits

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_orchestration.keys.token import (
    ADMIN_KEY_PATTERN,
    TENANT_KEY_PATTERN,
    KeyKind,
    assembled,
    generate_admin_key,
    generate_tenant_key,
    hash_of,
    is_well_formed,
)
from convergence_orchestration.settings import Environment

random_parts = st.binary(min_size=32, max_size=32)
environments = st.sampled_from(Environment)
kinds = st.sampled_from(KeyKind)


@given(kinds, environments, random_parts)
@example(KeyKind.TENANT, Environment.DEVELOPMENT, b"\x00" * 32)
@example(KeyKind.TENANT, Environment.DEVELOPMENT, b"\xff" * 32)
def test_every_key_is_well_formed_for_its_kind_and_environment_and_for_no_other(
    kind: KeyKind, environment: Environment, random: bytes
) -> None:
    text = assembled(kind, environment, random).get_secret_value()
    fits = [(k, e) for k in KeyKind for e in Environment if is_well_formed(text, e, k)]
    assert fits == [(kind, environment)]
    assert len(text) == len(f"{kind}_{environment.short}_") + 43 + 6


@given(random_parts, random_parts)
def test_different_random_parts_give_different_keys(one: bytes, other: bytes) -> None:
    texts = [assembled(KeyKind.TENANT, Environment.STAGING, part).get_secret_value() for part in (one, other)]
    assert (texts[0] == texts[1]) is (one == other)


@given(kinds, environments, random_parts, st.data())
def test_any_one_changed_character_is_refused(
    kind: KeyKind, environment: Environment, random: bytes, draw: st.DataObject
) -> None:
    text = assembled(kind, environment, random).get_secret_value()
    place = draw.draw(st.integers(0, len(text) - 1))
    letter = draw.draw(st.sampled_from(digits + ascii_letters + "_-. \n") | st.characters())
    changed = text[:place] + letter + text[place + 1 :]
    assert is_well_formed(changed, environment, kind) is (changed == text)


@given(kinds, environments, random_parts, st.data())
def test_any_truncation_is_refused(
    kind: KeyKind, environment: Environment, random: bytes, draw: st.DataObject
) -> None:
    text = assembled(kind, environment, random).get_secret_value()
    start = draw.draw(st.integers(0, len(text)))
    end = draw.draw(st.integers(start, len(text)))
    assert is_well_formed(text[start:end], environment, kind) is (text[start:end] == text)


@given(kinds, environments, random_parts, st.data())
def test_two_neighbours_swapped_are_refused(
    kind: KeyKind, environment: Environment, random: bytes, draw: st.DataObject
) -> None:
    text = assembled(kind, environment, random).get_secret_value()
    place = draw.draw(st.integers(0, len(text) - 2))
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    assert is_well_formed(swapped, environment, kind) is (swapped == text)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@example("cvg_dev_" + "\u0660" * 49)  # digits, but not ASCII's
@example("\ud800")
def test_any_other_text_is_refused_and_can_be_hashed(text: str) -> None:
    assert not any(is_well_formed(text, environment, kind) for environment in Environment for kind in KeyKind)
    assert re.fullmatch(r"[0-9a-f]{64}", hash_of(text))


def test_a_text_of_ten_megabytes_is_refused() -> None:
    assert not is_well_formed("cvg_dev_" + "0" * 10_000_000, Environment.DEVELOPMENT)


@pytest.mark.parametrize("environment", Environment)
def test_the_published_patterns_find_keys_inside_other_text(environment: Environment) -> None:
    tenant_key = generate_tenant_key(environment).get_secret_value()
    admin_key = generate_admin_key(environment).get_secret_value()
    leak = f"curl -H 'X-API-Key: {tenant_key}' -H 'X-Admin-Key: {admin_key}'"
    assert re.findall(TENANT_KEY_PATTERN, leak) == [tenant_key]
    assert re.findall(ADMIN_KEY_PATTERN, leak) == [admin_key]


def test_a_key_starts_with_its_kind_and_the_short_name_of_its_environment() -> None:
    assert generate_tenant_key(Environment.PRODUCTION).get_secret_value().startswith("cvg_prod_")
    assert generate_admin_key(Environment.STAGING).get_secret_value().startswith("cvgadm_staging_")


def test_a_fresh_key_shows_itself_in_no_text() -> None:
    key = generate_tenant_key(Environment.DEVELOPMENT)
    assert "cvg_" not in f"{key} {key!r}"


def test_the_hash_is_sha_256_in_hexadecimal() -> None:
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

import csv
import io
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_orchestration.cli.csv_rows import COLUMNS, RowProblem, decoded, read_rows
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import NewTenant
from convergence_orchestration.tenancy.model import Plan, TenantId

ACME = NewTenant(
    TenantId("acmecorp"),
    description='say "hi", twice',
    company_name="ACME",
    admin_email="ops@acme.example",
    plan=Plan.SCALE,
    principal="user:ada@acme.example",
)
SENSIBLE = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('\n\t,"'), max_size=200)


def problem_of(text: str) -> RowProblem:
    """The one problem of a file."""
    (problem,) = read_rows(text).problems
    return problem


def refusal_of(content: bytes) -> str:
    with pytest.raises(PermanentError) as refused:
        read_rows(decoded(content))
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT
    return refused.value.message


def test_a_row_is_a_tenant_to_be() -> None:
    rows = read_rows(
        "tenant_id,company_name,admin_email,plan,description,principal\n"
        'acmecorp,ACME,ops@acme.example,SCALE,"say ""hi"", twice",user:ada@acme.example\n'
    )

    assert [(row.line, row.tenant) for row in rows.good] == [(2, ACME)]
    assert rows.problems == []


def test_columns_come_in_any_order_and_but_one_may_be_missing() -> None:
    for columns in permutations(("tenant_id", "plan", "company_name")):
        fields = {"tenant_id": "acmecorp", "plan": "SCALE", "company_name": "ACME"}
        text = f"{', '.join(columns)}\n{','.join(fields[column] for column in columns)}\n"

        assert read_rows(text).good[0].tenant == NewTenant(
            TenantId("acmecorp"), company_name="ACME", plan=Plan.SCALE
        )


def test_an_empty_field_is_a_field_left_out() -> None:
    assert read_rows("tenant_id,plan\nacmecorp,\n").good[0].tenant == NewTenant(TenantId("acmecorp"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_will_do(end: str) -> None:
    rows = read_rows(end.join(["tenant_id,plan", "acmecorp,SCALE", "", "globex,STARTER"]))

    assert [(row.line, row.tenant.tenant_id) for row in rows.good] == [(2, "acmecorp"), (4, "globex")]


def test_blank_lines_are_skipped_and_counted() -> None:
    rows = read_rows("\n\ntenant_id,plan\n\n  \n,\nacmecorp,SCALE\n\n")

    assert [(row.line, row.tenant.tenant_id) for row in rows.good] == [(7, "acmecorp")]
    assert rows.problems == []


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    content = "tenant_id,company_name\nacmecorp,Müller & Söhne\n"

    assert decoded(content.encode("utf-8-sig")) == decoded(content.encode()) == content


def test_another_encoding_is_named_with_its_line() -> None:
    assert "line 3 is in another encoding" in refusal_of("tenant_id\nabc\nMüller\n".encode("latin-1"))
    assert "line 1" in refusal_of("tenant_id\n".encode("utf-16"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("plan,company_name\n", "there is no column tenant_id"),
        ("tenant_id,Plan,colour\n", "unknown columns: Plan, colour"),
        ("tenant_id;plan\nacmecorp;SCALE\n", "unknown columns: tenant_id;plan"),
        ("tenant_id,plan,plan\n", "columns named twice: plan"),
        ("tenant_id,\nacmecorp,\n", "unknown columns: "),
        ('"tenant_id\nacmecorp\n', "Close the quote"),
    ],
)
def test_a_header_that_names_no_columns_is_refused_as_a_whole(text: str, words: str) -> None:
    message = refusal_of(text.encode())

    assert words in message
    assert all(column in message for column in COLUMNS)


@pytest.mark.parametrize(
    ("row", "words", "code"),
    [
        ("acmecorp", "this row has 1", "invalid_argument"),
        ("acmecorp,SCALE,ACME", "this row has 3. A comma inside a field needs quotes", "invalid_argument"),
        (
            'acmecorp,"SCALE\nglobex",STARTER',
            "It goes on to line 3: is a quote left open?",
            "invalid_argument",
        ),
        ('"acme"corp,SCALE', "Quote the field as a whole", "invalid_argument"),
        ('acmecorp,"SCALE', "Close the quote", "invalid_argument"),
        (f"acmecorp,{'x' * 200_000}", "Shorten the field", "invalid_argument"),
        ("AcmeCorp,SCALE", "Write acmecorp: a tenant id has no capitals.", "invalid_tenant_id"),
        ("ac,SCALE", "Choose a tenant id of 3 to 50", "invalid_tenant_id"),
        (",SCALE", "Choose a tenant id of 3 to 50", "invalid_tenant_id"),
        (" acmecorp,SCALE", "Choose a tenant id of 3 to 50", "invalid_tenant_id"),
        ("TENANTS,SCALE", "Choose a tenant id of 3 to 50", "invalid_tenant_id"),
        ("tenants,SCALE", "Choose another tenant id: tenants is reserved", "reserved_tenant_id"),
        ("acmecorp,GOLD", "Choose one of the plans STARTER, PROFESSIONAL, SCALE.", "invalid_argument"),
        ("acmecorp,scale", "Choose one of the plans", "invalid_argument"),
    ],
)
def test_a_malformed_row_is_listed_with_its_line(row: str, words: str, code: str) -> None:
    problem = problem_of(f"tenant_id,plan\n{row}\n")

    assert words in problem.message
    assert (problem.line, problem.code) == (2, code)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("admin_email", "nobody", "Give admin_email as name@example.com"),
        ("principal", "ada@acme.example", "Give principal as serviceAccount:"),
        ("company_name", "x" * 201, "Shorten company_name to 200 characters"),
        ("description", "\x1b[31m", "Remove the control characters from description."),
        ("description", "\x00", "Remove the control characters from description."),
    ],
)
def test_every_column_is_checked_as_the_api_checks_it(column: str, value: str, words: str) -> None:
    assert words in problem_of(f"tenant_id,{column}\nacmecorp,{value}\n").message


def test_a_bad_row_leaves_the_others_as_they_are() -> None:
    rows = read_rows('tenant_id,plan\nAcme,\nglobex,\n"x"y,\ninitech,\n')

    assert [row.line for row in rows.good] == [3, 5]
    assert [problem.line for problem in rows.problems] == [2, 4]


def test_a_repeated_tenant_names_the_line_that_has_it_already() -> None:
    rows = read_rows("tenant_id,plan\nacmecorp,SCALE\n\nacmecorp,STARTER\nacmecorp,SCALE\n")

    assert [row.line for row in rows.good] == [2]
    assert [(problem.line, problem.message) for problem in rows.problems] == [
        (line, "Remove this row or line 2: both ask for acmecorp.") for line in (4, 5)
    ]


def test_a_tenant_whose_first_row_is_malformed_is_not_made_by_its_second() -> None:
    rows = read_rows("tenant_id,plan\nacmecorp,GOLD\nacmecorp,STARTER\n")

    assert rows.good == []
    assert [problem.line for problem in rows.problems] == [2, 3]


def test_what_is_shown_of_a_bad_id_is_short_and_harmless() -> None:
    assert problem_of("tenant_id\n\x1b[31mred\n").tenant_id == "'\\x1b[31mred'"
    assert len(problem_of(f"tenant_id\n{'x' * 5000}\n").tenant_id) == 50


def test_lines_are_counted_also_behind_fields_of_several_lines() -> None:
    rows = read_rows('tenant_id,description\nacmecorp,"one\ntwo\nthree"\nglobex,\nBad,\n')

    assert [row.line for row in rows.good] == [2, 5]
    assert [problem.line for problem in rows.problems] == [6]


@given(st.lists(st.tuples(SENSIBLE, SENSIBLE), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_quoted_comes_back_as_it_was(texts: list[tuple[str, str]], end: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end)
    writer.writerow(["description", "tenant_id", "company_name"])
    writer.writerows([one, f"tenant_{number}", other] for number, (one, other) in enumerate(texts))

    rows = read_rows(decoded(file.getvalue().encode("utf-8-sig")))

    assert rows.problems == []
    assert [(row.tenant.description, row.tenant.company_name) for row in rows.good] == texts


@given(st.text())
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    rows = read_rows(f"tenant_id,plan\n{text}")

    assert all(row.line >= 2 for row in rows.good)
    assert all(problem.line >= 2 for problem in rows.problems)

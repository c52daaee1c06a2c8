from pathlib import Path

import pytest

from lorascope.files import read_table
from lorascope.stats import dictionary
from lorascope.stats.aggregate import aggregate
from lorascope.stats.table_names import TABLE_NAMES
from lorascope.stats.tables import CELLS_SCHEMA
from synthetic_study import make_study

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


@pytest.mark.parametrize("table", dictionary.TABLES)
def test_every_column_has_its_words_and_every_word_its_column(table):
    _, schema = dictionary.TABLES[table]
    assert all(dictionary.describe(table, name) for name in schema.names)
    assert dictionary.described(table) <= set(schema.names)


def test_the_page_is_that_of_the_code():
    assert PAGE.read_text() == dictionary.markdown(), (
        "run: python -m lorascope.stats.dictionary > docs/metrics.md"
    )


def test_the_workflow_knows_the_tables_by_name():
    assert set(TABLE_NAMES) == set(dictionary.TABLES)


def test_the_tables_are_those_that_a_study_writes(tmp_path):
    aggregate(make_study(tmp_path / "in", {("all", "stats"): 0.5}, seeds=1, adapters=100), tmp_path / "out")
    written = {path.stem: path for path in (tmp_path / "out").glob("*.parquet")}
    assert set(written) == set(dictionary.TABLES)
    for name, (_, schema) in dictionary.TABLES.items():
        assert read_table(written[name]).column_names == schema.names


def test_a_cell_has_the_sixty_columns_of_the_protocol():
    assert len(CELLS_SCHEMA.names) > 60

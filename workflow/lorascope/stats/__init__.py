"""From the results of the cells to summary tables: intervals, paired tests, aggregation."""

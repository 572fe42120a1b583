ALTER TABLE `{table}` {clauses}

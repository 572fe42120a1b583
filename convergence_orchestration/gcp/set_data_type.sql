ALTER COLUMN `{column}` SET DATA TYPE {type}

ADD COLUMN IF NOT EXISTS `{column}` {type} OPTIONS (description = {description})

-- The smallest query whose answer can be wrong; it reads no table and is not billed.
SELECT @asked AS answer

-- The places of these numbers, where they are not there yet. Two that add at once may both add: see slot_claim.sql.
MERGE tenants.key_slots AS slots
USING (SELECT number FROM UNNEST(@numbers) AS number) AS wanted
ON slots.tenant_id = @tenant_id AND slots.slot = wanted.number
WHEN NOT MATCHED THEN
  INSERT (tenant_id, slot, key_id) VALUES (@tenant_id, wanted.number, @key_id)

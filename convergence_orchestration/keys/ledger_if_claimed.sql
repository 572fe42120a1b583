-- Behind ledger_insert.sql: only while the new key holds its place by this very claim, and unless another try of it was
-- faster. A try that was overtaken may have made another key than the one that is issued.
WHERE
  EXISTS (
    SELECT 1
    FROM tenants.key_slots AS slots
    WHERE slots.tenant_id = @tenant_id AND slots.key_id = @key_id AND slots.claimed_at = @claimed_at
  )
  AND NOT EXISTS (SELECT 1 FROM tenants.api_key_events AS written WHERE written.event_id = @event_id)

-- An owner whose items were shown often enough pauses with all of them.
create index postings_by_owner on postings (tenant_id, owner) where owner <> '' and ended_at is null;

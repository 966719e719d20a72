-- name: write_postings
insert into postings as kept (tenant_id, posting, item_id, category, owner, market, title, born_at)
select $1, w.posting, w.item_id, w.category, w.owner, w.market, w.title, to_timestamp(w.born_at)
from unnest(
    $2::bigint[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::float8[]
) as w (posting, item_id, category, owner, market, title, born_at)
on conflict (tenant_id, posting) do update set
    category = excluded.category, owner = excluded.owner, market = excluded.market, title = excluded.title
where (kept.category, kept.owner, kept.market, kept.title)
    is distinct from (excluded.category, excluded.owner, excluded.market, excluded.title);

-- name: end_postings
update postings set ended_at = to_timestamp(e.ended_at)
from unnest($2::bigint[], $3::float8[]) as e (posting, ended_at)
where postings.tenant_id = $1 and postings.posting = e.posting;

-- name: place_postings
select posting, market, category from postings where tenant_id = $1 and posting = any($2::bigint[]);

-- name: name_postings
select posting, item_id, title from postings where tenant_id = $1 and posting = any($2::bigint[]);

-- name: read_owners
select posting, owner from postings where tenant_id = $1 and posting = any($2::bigint[]) and owner <> '';

-- name: list_owned
select posting, owner from postings
where tenant_id = $1 and owner = any($2::text[]) and owner <> '' and ended_at is null;

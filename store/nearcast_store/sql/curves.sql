-- name: read_latest_curve
select number, extract(epoch from fitted_at)::float8 as fitted_at, shares, places, impressions, successes,
       place_shares
from curve_fits
where tenant_id = $1
order by curve_fits.number desc
limit 1;

-- name: read_look
select extract(epoch from looked_at)::float8 as looked_at, basis, reason from curve_looks where tenant_id = $1;

-- name: add_curve
insert into curve_fits (tenant_id, number, fitted_at, shares, places, impressions, successes, place_shares)
values ($1, $2, to_timestamp($3::float8), $4::float8[], $5::smallint[], $6::bigint[], $7::bigint[], $8::float8[]);

-- name: drop_old_curves
delete from curve_fits where tenant_id = $1 and number <= $2;

-- name: note_look
insert into curve_looks (tenant_id, looked_at, basis, reason) values ($1, to_timestamp($2::float8), $3, $4)
on conflict (tenant_id) do update set
    looked_at = excluded.looked_at, basis = excluded.basis, reason = excluded.reason;

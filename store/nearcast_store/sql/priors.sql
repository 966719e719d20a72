-- name: read_latest_fit
select number, basis, extract(epoch from fitted_at)::float8 as fitted_at
from prior_fits
where tenant_id = $1
order by prior_fits.number desc
limit 1;

-- name: list_fitted_priors
select kind, market, category, mean, strength, level, how, children, exposures, successes, own_share
from fitted_priors
where tenant_id = $1 and number = $2;

-- name: add_fit
insert into prior_fits (tenant_id, number, basis, fitted_at) values ($1, $2, $3, to_timestamp($4::float8));

-- name: add_fitted_priors
insert into fitted_priors (
    tenant_id, number, kind, market, category, mean, strength, level, how, children, exposures, successes,
    own_share
)
select *
from unnest(
    $1::integer[], $2::bigint[], $3::smallint[], $4::integer[], $5::text[], $6::float8[], $7::float8[],
    $8::text[], $9::text[], $10::bigint[], $11::float8[], $12::float8[], $13::float8[]
);

-- name: drop_old_fits
delete from prior_fits where tenant_id = $1 and number <= $2;

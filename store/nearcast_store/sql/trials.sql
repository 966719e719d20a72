-- name: add_trials
insert into feed_trials (
    tenant_id, policy_epoch, session_hash, feed, bucket, market, rewarded, segment
)
select * from unnest(
    $1::integer[], $2::bigint[], $3::bytea[], $4::smallint[], $5::integer[], $6::integer[], $7::boolean[],
    $8::smallint[]
)
on conflict do nothing
returning tenant_id, policy_epoch, session_hash, feed;

-- name: lock_trials
select t.tenant_id, t.policy_epoch, t.session_hash, t.feed, t.bucket, t.market, t.rewarded, t.segment
from feed_trials t
join unnest($1::integer[], $2::bigint[], $3::bytea[], $4::smallint[])
    as k (tenant_id, policy_epoch, session_hash, feed)
    using (tenant_id, policy_epoch, session_hash, feed)
order by t.tenant_id, t.policy_epoch, t.session_hash, t.feed
for update of t;

-- name: change_trials
update feed_trials as t set bucket = c.bucket, market = c.market, rewarded = c.rewarded, segment = c.segment
from unnest(
    $1::integer[], $2::bigint[], $3::bytea[], $4::smallint[], $5::integer[], $6::integer[], $7::boolean[],
    $8::smallint[]
) as c (tenant_id, policy_epoch, session_hash, feed, bucket, market, rewarded, segment)
where (t.tenant_id, t.policy_epoch, t.session_hash, t.feed)
    = (c.tenant_id, c.policy_epoch, c.session_hash, c.feed);

-- name: make_feed_counts
insert into feed_counts (tenant_id, market, feed, bucket, segment, trial_count, reward_count)
select tenant_id, market, feed, bucket, segment, 0, 0
from unnest($1::integer[], $2::integer[], $3::smallint[], $4::integer[], $5::smallint[])
    as k (tenant_id, market, feed, bucket, segment)
on conflict do nothing;

-- name: lock_feed_counts
select f.tenant_id
from feed_counts f
join unnest($1::integer[], $2::integer[], $3::smallint[], $4::integer[], $5::smallint[])
    as k (tenant_id, market, feed, bucket, segment)
    using (tenant_id, market, feed, bucket, segment)
order by f.tenant_id, f.market, f.feed, f.bucket, f.segment
for update of f;

-- name: add_feed_counts
update feed_counts as f set
    trial_count = f.trial_count + c.trial_count,
    reward_count = f.reward_count + c.reward_count
from unnest(
    $1::integer[], $2::integer[], $3::smallint[], $4::integer[], $5::smallint[], $6::bigint[], $7::bigint[]
) as c (tenant_id, market, feed, bucket, segment, trial_count, reward_count)
where (f.tenant_id, f.market, f.feed, f.bucket, f.segment)
    = (c.tenant_id, c.market, c.feed, c.bucket, c.segment);

-- name: list_feed_counts
select market, feed, bucket, trial_count, reward_count, segment
from feed_counts
where tenant_id = $1 and trial_count > 0
order by market, feed, bucket, segment;

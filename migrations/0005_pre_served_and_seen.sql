-- What was put into answers, and for how long what was seen stayed on screen.

-- Milliseconds an item was on screen, where the sender said so.
alter table events add column dwell_ms integer check (dwell_ms >= 0);

-- How often an item stood in answers. Gateways count while they answer and write now and then: what a gateway
-- had not written when it died is lost, and what was written without an answer may be written again. So it is
-- no fact, and nothing is learned from it. The keys mean what they mean in item_counts; the bucket is the hour
-- of the answer.
create table served_counts (
    tenant_id       integer not null,
    posting         bigint not null,
    market          integer not null,
    bucket          integer not null,
    position_bucket smallint not null,
    feed            smallint not null,
    explore         boolean not null,
    count           bigint not null check (count >= 0),
    primary key (tenant_id, posting, market, bucket, position_bucket, feed, explore)
);

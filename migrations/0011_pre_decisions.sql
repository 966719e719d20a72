-- What a decision was made from and what came of it, packed by the gateway: for making it again, and for judging
-- another policy by it. Nothing else depends on these rows; whole days are dropped.

create table decisions (
    tenant_id    integer not null,
    identity_day date not null,
    request_id   uuid not null,
    record       bytea not null,
    primary key (tenant_id, identity_day, request_id)
) partition by range (identity_day);

-- Deflated already.
alter table decisions alter record set storage external;

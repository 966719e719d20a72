-- Which changes of policy were asked for under which request id: the same request again is answered with the
-- revision that it led to, and changes nothing.
create table policy_requests (
    tenant_id  integer not null,
    request_id text not null,
    asked      bytea not null check (octet_length(asked) = 32),
    revision   bigint not null,
    created_at timestamptz not null,
    primary key (tenant_id, request_id),
    foreign key (tenant_id, revision) references policy_revisions
);

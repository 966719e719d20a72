-- The database today: the sum of all migrations, written by the machine. Change those, never this.

create table api_keys (
    key_id bigint not null generated always as identity,
    tenant_id integer not null,
    prefix text not null,
    secret_hash bytea not null,
    role text not null,
    label text not null default ''::text,
    created_at timestamp with time zone not null default now(),
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    constraint api_keys_pkey PRIMARY KEY (key_id),
    constraint api_keys_role_check CHECK ((role = ANY (ARRAY['client'::text, 'backend'::text, 'operator'::text]))),
    constraint api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32)),
    constraint api_keys_secret_hash_key UNIQUE (secret_hash),
    constraint api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table change_sequences (
    tenant_id integer not null,
    last_sequence bigint not null default 0,
    constraint change_sequences_pkey PRIMARY KEY (tenant_id),
    constraint change_sequences_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table changes (
    tenant_id integer not null,
    sequence bigint not null,
    posting bigint not null,
    served jsonb,
    created_at timestamp with time zone not null,
    constraint changes_pkey PRIMARY KEY (tenant_id, sequence),
    constraint changes_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);
CREATE INDEX changes_by_age ON public.changes USING btree (created_at);

create table compactions (
    day date not null,
    dropped_at timestamp with time zone not null default now(),
    xid xid8,
    compacted_at timestamp with time zone,
    clearing_at timestamp with time zone,
    cleared_at timestamp with time zone,
    constraint compactions_pkey PRIMARY KEY (day),
    constraint compactions_check CHECK (((xid IS NULL) = (compacted_at IS NULL)))
);

create table count_changes (
    change_id bigint not null generated always as identity,
    tenant_id integer not null,
    xid xid8 not null default pg_current_xact_id(),
    noted_at timestamp with time zone not null default clock_timestamp(),
    size integer not null,
    postings bigint[] not null,
    markets integer[] not null,
    kinds smallint[] not null,
    buckets integer[] not null,
    position_buckets smallint[] not null,
    feeds smallint[] not null,
    explores boolean[] not null,
    counts bigint[] not null,
    constraint count_changes_pkey PRIMARY KEY (tenant_id, change_id)
);
CREATE INDEX count_changes_by_xid ON public.count_changes USING btree (tenant_id, xid);

create table count_changes_dropped (
    tenant_id integer not null,
    xid xid8 not null,
    constraint count_changes_dropped_pkey PRIMARY KEY (tenant_id)
);

create table curve_fits (
    tenant_id integer not null,
    number bigint not null,
    fitted_at timestamp with time zone not null,
    shares double precision[] not null,
    places smallint[] not null,
    impressions bigint[] not null,
    successes bigint[] not null,
    place_shares double precision[] not null,
    constraint curve_fits_pkey PRIMARY KEY (tenant_id, number),
    constraint curve_fits_number_check CHECK ((number > 0)),
    constraint curve_fits_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table curve_looks (
    tenant_id integer not null,
    looked_at timestamp with time zone not null,
    basis bytea not null,
    reason text not null,
    constraint curve_looks_pkey PRIMARY KEY (tenant_id),
    constraint curve_looks_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table dead_letters (
    dead_letter_id bigint not null generated always as identity,
    tenant_id integer not null,
    shard smallint not null,
    entry_id text not null,
    event_index integer not null default 0,
    reason text not null,
    detail text not null,
    entry bytea not null,
    created_at timestamp with time zone not null default now(),
    state text not null default 'dead'::text,
    settled_at timestamp with time zone,
    settled_note text not null default ''::text,
    constraint dead_letters_pkey PRIMARY KEY (dead_letter_id),
    constraint dead_letters_check CHECK (((state = 'dead'::text) = (settled_at IS NULL))),
    constraint dead_letters_state_check CHECK ((state = ANY (ARRAY['dead'::text, 'retried'::text, 'discarded'::text]))),
    constraint dead_letters_tenant_id_shard_entry_id_event_index_key UNIQUE (tenant_id, shard, entry_id, event_index)
);
CREATE INDEX dead_letters_unsettled ON public.dead_letters USING btree (tenant_id, dead_letter_id) WHERE (state = 'dead'::text);

create table experiments (
    tenant_id integer not null,
    experiment bigint not null generated always as identity,
    name text not null,
    mode text not null,
    revision bigint not null,
    against bigint not null,
    share double precision not null,
    author text not null,
    note text not null default ''::text,
    started_at timestamp with time zone not null,
    stopped_at timestamp with time zone,
    constraint experiments_pkey PRIMARY KEY (tenant_id, experiment),
    constraint experiments_check CHECK ((stopped_at >= started_at)),
    constraint experiments_mode_check CHECK ((mode = ANY (ARRAY['split'::text, 'shadow'::text]))),
    constraint experiments_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'::text)),
    constraint experiments_share_check CHECK (((share > (0)::double precision) AND (share <= (1)::double precision))),
    constraint experiments_tenant_id_against_fkey FOREIGN KEY (tenant_id, against) REFERENCES policy_revisions(tenant_id, revision),
    constraint experiments_tenant_id_name_key UNIQUE (tenant_id, name),
    constraint experiments_tenant_id_revision_fkey FOREIGN KEY (tenant_id, revision) REFERENCES policy_revisions(tenant_id, revision)
);
CREATE UNIQUE INDEX experiments_running ON public.experiments USING btree (tenant_id, mode) WHERE (stopped_at IS NULL);

create table feed_counts (
    tenant_id integer not null,
    market integer not null,
    feed smallint not null,
    bucket integer not null,
    trial_count bigint not null,
    reward_count bigint not null,
    segment smallint not null default 0,
    constraint feed_counts_pkey PRIMARY KEY (tenant_id, market, feed, bucket, segment),
    constraint feed_counts_check CHECK ((reward_count <= trial_count))
);

create table feed_trials (
    tenant_id integer not null,
    policy_epoch bigint not null,
    session_hash bytea not null,
    feed smallint not null,
    market integer not null,
    bucket integer not null,
    rewarded boolean not null,
    segment smallint not null default 0,
    constraint feed_trials_pkey PRIMARY KEY (tenant_id, policy_epoch, session_hash, feed)
);
CREATE INDEX feed_trials_by_hour ON public.feed_trials USING btree (tenant_id, bucket);

create table fitted_priors (
    tenant_id integer not null,
    number bigint not null,
    kind smallint not null,
    market integer,
    category text collate "C",
    mean double precision not null,
    strength double precision not null,
    level text not null,
    how text not null,
    children bigint not null,
    exposures double precision not null,
    successes double precision not null,
    own_share double precision not null,
    constraint fitted_priors_check CHECK (((market IS NOT NULL) OR (category IS NULL))),
    constraint fitted_priors_mean_check CHECK (((mean > (0)::double precision) AND (mean < (1)::double precision))),
    constraint fitted_priors_strength_check CHECK ((strength > (0)::double precision)),
    constraint fitted_priors_tenant_id_number_fkey FOREIGN KEY (tenant_id, number) REFERENCES prior_fits(tenant_id, number) ON DELETE CASCADE,
    constraint fitted_priors_tenant_id_number_kind_market_category_key UNIQUE NULLS NOT DISTINCT (tenant_id, number, kind, market, category)
);

create table heartbeats (
    process text not null,
    beat_at timestamp with time zone not null,
    fresh_at timestamp with time zone not null,
    constraint heartbeats_pkey PRIMARY KEY (process)
);

create table item_counts (
    tenant_id integer not null,
    posting bigint not null,
    market integer not null,
    kind smallint not null,
    bucket integer not null,
    position_bucket smallint not null,
    feed smallint not null,
    explore boolean not null,
    count bigint not null,
    changed_xid xid8 not null default pg_current_xact_id(),
    constraint item_counts_pkey PRIMARY KEY (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore),
    constraint item_counts_count_check CHECK ((count >= 0))
);
CREATE TRIGGER item_counts_inserted AFTER INSERT ON public.item_counts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_count_changes();
CREATE TRIGGER item_counts_updated AFTER UPDATE ON public.item_counts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_count_changes();

create table items (
    tenant_id integer not null,
    item_id text collate "C" not null,
    posting bigint not null,
    version bigint not null,
    etag text not null,
    body jsonb not null,
    market integer not null default 0,
    born_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    expires_at timestamp with time zone,
    deleted_at timestamp with time zone,
    constraint items_pkey PRIMARY KEY (tenant_id, item_id),
    constraint items_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id),
    constraint items_tenant_id_posting_key UNIQUE (tenant_id, posting)
);
CREATE INDEX items_expiring ON public.items USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (deleted_at IS NULL));
CREATE INDEX items_tombstones ON public.items USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

create table kind_totals (
    tenant_id integer not null,
    kind smallint not null,
    count bigint not null,
    constraint kind_totals_pkey PRIMARY KEY (tenant_id, kind),
    constraint kind_totals_count_check CHECK ((count >= 0))
);

create table log_positions (
    tenant_id integer not null,
    shard smallint not null,
    last_entry_id text not null,
    accepted_count bigint not null,
    counted_count bigint not null,
    duplicate_count bigint not null,
    dead_count bigint not null,
    generation bigint not null default 0,
    take_count integer not null default 0,
    constraint log_positions_pkey PRIMARY KEY (tenant_id, shard)
);

create table market_revisions (
    tenant_id integer not null,
    revision bigint not null,
    placed_revision bigint not null default 0,
    placing_revision bigint not null default 0,
    placed_posting bigint not null default 0,
    constraint market_revisions_pkey PRIMARY KEY (tenant_id),
    constraint market_revisions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table markets (
    tenant_id integer not null,
    number integer not null,
    market_id text collate "C" not null,
    display_name text not null,
    priority integer not null,
    disabled boolean not null,
    geometry text not null,
    area bytea not null,
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    deleted_at timestamp with time zone,
    constraint markets_pkey PRIMARY KEY (tenant_id, number),
    constraint markets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id),
    constraint markets_tenant_id_market_id_key UNIQUE (tenant_id, market_id)
);

create table outbox (
    outbox_id bigint not null generated always as identity,
    tenant_id integer not null,
    xid xid8 not null default pg_current_xact_id(),
    posting bigint not null,
    served jsonb,
    created_at timestamp with time zone not null default now(),
    constraint outbox_pkey PRIMARY KEY (outbox_id),
    constraint outbox_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);
CREATE INDEX outbox_by_xid ON public.outbox USING btree (xid);

create table policy_epochs (
    tenant_id integer not null,
    epoch bigint not null,
    policy_revision bigint not null,
    shares jsonb not null,
    published_at timestamp with time zone not null default now(),
    segments jsonb not null default '{}'::jsonb,
    items jsonb not null default '{}'::jsonb,
    constraint policy_epochs_pkey PRIMARY KEY (tenant_id, epoch),
    constraint policy_epochs_epoch_check CHECK ((epoch > 0)),
    constraint policy_epochs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id),
    constraint policy_epochs_tenant_id_policy_revision_fkey FOREIGN KEY (tenant_id, policy_revision) REFERENCES policy_revisions(tenant_id, revision)
);

create table policy_requests (
    tenant_id integer not null,
    request_id text not null,
    asked bytea not null,
    revision bigint not null,
    created_at timestamp with time zone not null,
    constraint policy_requests_pkey PRIMARY KEY (tenant_id, request_id),
    constraint policy_requests_asked_check CHECK ((octet_length(asked) = 32)),
    constraint policy_requests_tenant_id_revision_fkey FOREIGN KEY (tenant_id, revision) REFERENCES policy_revisions(tenant_id, revision)
);

create table policy_revisions (
    tenant_id integer not null,
    revision bigint not null,
    body text not null,
    checksum bytea not null,
    author text not null,
    note text not null default ''::text,
    created_at timestamp with time zone not null default now(),
    contender boolean not null default false,
    constraint policy_revisions_pkey PRIMARY KEY (tenant_id, revision),
    constraint policy_revisions_revision_check CHECK ((revision > 0)),
    constraint policy_revisions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create sequence posting_numbers;

create table posting_totals (
    tenant_id integer not null,
    posting bigint not null,
    kind smallint not null,
    count bigint not null,
    magnitude smallint not null generated always as (floor(((2)::double precision * ln(((count + 1))::double precision)))) stored,
    constraint posting_totals_pkey PRIMARY KEY (tenant_id, posting, kind),
    constraint posting_totals_count_check CHECK ((count >= 0))
);
CREATE INDEX posting_totals_by_magnitude ON public.posting_totals USING btree (tenant_id, kind, magnitude DESC);

create table postings (
    tenant_id integer not null,
    posting bigint not null,
    item_id text collate "C" not null,
    category text not null default ''::text,
    owner text not null default ''::text,
    market integer not null default 0,
    title text not null default ''::text,
    born_at timestamp with time zone not null,
    ended_at timestamp with time zone,
    constraint postings_pkey PRIMARY KEY (tenant_id, posting),
    constraint postings_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);
CREATE INDEX postings_by_item ON public.postings USING btree (tenant_id, item_id);
CREATE INDEX postings_by_owner ON public.postings USING btree (tenant_id, owner) WHERE ((owner <> ''::text) AND (ended_at IS NULL));

create table prior_fits (
    tenant_id integer not null,
    number bigint not null,
    basis bytea not null,
    fitted_at timestamp with time zone not null,
    constraint prior_fits_pkey PRIMARY KEY (tenant_id, number),
    constraint prior_fits_number_check CHECK ((number > 0)),
    constraint prior_fits_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table served_counts (
    tenant_id integer not null,
    posting bigint not null,
    market integer not null,
    bucket integer not null,
    position_bucket smallint not null,
    feed smallint not null,
    explore boolean not null,
    count bigint not null,
    constraint served_counts_pkey PRIMARY KEY (tenant_id, posting, market, bucket, position_bucket, feed, explore),
    constraint served_counts_count_check CHECK ((count >= 0))
);

create table shadow_decisions (
    tenant_id integer not null,
    experiment bigint not null,
    request_id uuid not null,
    market integer not null,
    feed smallint not null,
    shadow_feed smallint not null,
    postings bigint[] not null,
    shadow_postings bigint[] not null,
    common_count smallint not null,
    new_count smallint not null,
    shadow_new_count smallint not null,
    decided_at timestamp with time zone not null,
    constraint shadow_decisions_pkey PRIMARY KEY (tenant_id, experiment, request_id)
);
CREATE INDEX shadow_decisions_by_age ON public.shadow_decisions USING brin (decided_at);

create table signing_keys (
    tenant_id integer not null,
    key_id smallint not null,
    secret bytea not null,
    created_at timestamp with time zone not null default now(),
    retired_at timestamp with time zone,
    constraint signing_keys_pkey PRIMARY KEY (tenant_id, key_id),
    constraint signing_keys_key_id_check CHECK (((key_id >= 1) AND (key_id <= 255))),
    constraint signing_keys_secret_check CHECK ((octet_length(secret) = 32)),
    constraint signing_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table slugs (
    tenant_id integer not null,
    realm text not null,
    number integer not null,
    slug text not null,
    constraint slugs_pkey PRIMARY KEY (tenant_id, realm, number),
    constraint slugs_number_check CHECK (((number >= 1) AND (number <= 32767))),
    constraint slugs_realm_check CHECK ((realm = ANY (ARRAY['kind'::text, 'feed'::text, 'scenario'::text, 'market'::text, 'segment'::text]))),
    constraint slugs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id),
    constraint slugs_tenant_id_realm_slug_key UNIQUE (tenant_id, realm, slug)
);

create table source_cursors (
    tenant_id integer not null,
    source text not null,
    row_seconds double precision not null,
    row_time text not null,
    row_id text not null,
    read_count bigint not null,
    accepted_count bigint not null,
    refused_count bigint not null,
    moved_at timestamp with time zone not null,
    constraint source_cursors_pkey PRIMARY KEY (tenant_id, source),
    constraint source_cursors_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table source_rejects (
    source_reject_id bigint not null generated always as identity,
    tenant_id integer not null,
    source text not null,
    row_key bytea not null,
    row_id text not null,
    row_time text not null,
    reason text not null,
    detail text not null,
    rejected_at timestamp with time zone not null default now(),
    constraint source_rejects_pkey PRIMARY KEY (source_reject_id),
    constraint source_rejects_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id),
    constraint source_rejects_tenant_id_source_row_key_key UNIQUE (tenant_id, source, row_key)
);

create table source_runs (
    tenant_id integer not null,
    source text not null,
    caught_up_at timestamp with time zone,
    trouble text not null default ''::text,
    troubled_at timestamp with time zone,
    constraint source_runs_pkey PRIMARY KEY (tenant_id, source),
    constraint source_runs_check CHECK (((trouble = ''::text) = (troubled_at IS NULL))),
    constraint source_runs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(tenant_id)
);

create table tenants (
    tenant_id integer not null generated always as identity,
    slug text not null,
    display_name text not null,
    created_at timestamp with time zone not null default now(),
    suspended_at timestamp with time zone,
    constraint tenants_pkey PRIMARY KEY (tenant_id),
    constraint tenants_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text)),
    constraint tenants_slug_key UNIQUE (slug)
);

CREATE OR REPLACE FUNCTION public.note_count_changes()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
    insert into count_changes (
        tenant_id, size, postings, markets, kinds, buckets, position_buckets, feeds, explores, counts
    )
    select tenant_id, count(*), array_agg(posting), array_agg(market), array_agg(kind), array_agg(bucket),
           array_agg(position_bucket), array_agg(feed), array_agg(explore), array_agg(count)
    from (select *, (row_number() over () - 1) / 20000 as part from changed) parted
    group by tenant_id, part;
    return null;
end
$function$
;

-- name: read_settings
select current_setting('server_version_num')::integer as version,
       current_database() as database,
       current_user as role,
       pg_is_in_recovery() as in_recovery,
       current_setting('fsync')::boolean as fsync,
       current_setting('full_page_writes')::boolean as full_page_writes,
       current_setting('synchronous_commit') as synchronous_commit,
       current_setting('server_encoding') as encoding;

-- name: list_ledger_partitions
select c.relname as name, pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' as is_default
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = to_regclass('events');

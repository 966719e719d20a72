-- name: list_relations
select c.oid, c.relname as name, c.relkind::text as kind, pg_get_partkeydef(c.oid) as partition_key
from pg_class c
where c.relnamespace = 'public'::regnamespace
  and c.relkind in ('r', 'p', 'S')
  and c.relname <> 'schema_migrations'
  and not c.relispartition
  -- A sequence of an identity column is told with its column.
  and not exists (
      select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i'
  )
order by c.relname collate "C";

-- name: list_columns
select a.attname as name,
       format_type(a.atttypid, a.atttypmod) as type,
       nullif(l.collname, 'default') as collation_name,
       a.attnotnull as required,
       a.attidentity::text as identity,
       a.attgenerated <> '' as computed,
       pg_get_expr(d.adbin, d.adrelid) as default_value
from pg_attribute a
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation
where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: list_constraints
select conname as name, pg_get_constraintdef(oid) as definition
from pg_constraint
-- Newer servers list "not null" here too; the columns tell that already.
where conrelid = $1 and contype <> 'n'
order by contype = 'p' desc, conname collate "C";

-- name: list_indexes
select pg_get_indexdef(i.indexrelid) as definition
from pg_index i
join pg_class c on c.oid = i.indexrelid
where i.indrelid = $1 and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
order by c.relname collate "C";

-- name: list_functions
select pg_get_functiondef(p.oid) as definition
from pg_proc p
where p.pronamespace = 'public'::regnamespace
order by p.proname collate "C";

-- name: list_triggers
select pg_get_triggerdef(t.oid) as definition
from pg_trigger t
where t.tgrelid = $1 and not t.tgisinternal
order by t.tgname collate "C";

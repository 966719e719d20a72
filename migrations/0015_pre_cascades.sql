-- Where people read an answer from the top and leave at a success, what stands below the last success of an
-- answer was not read. The policy of the decision says whether it is so, and at which kinds people leave.

-- Of an impression: its answer is read like that. Of an act: people leave at it.
alter table events add column cascades boolean not null default false;

-- How many impressions were passed over like that is counted beside them, as kind -1. An answer's rows in the
-- ledger say which, so folds that may touch the same answer come one after the other (see lock_cascades).

-- Every statement reaches its rows by a key. A plan made while a table is empty would scan it, and be kept until
-- the table was analysed; compiling such a plan would cost more than running it.
SET enable_seqscan = off;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = on;
SET statement_timeout = '3s';

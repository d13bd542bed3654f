SET enable_seqscan = off;
SET jit = off;
SET plan_cache_mode = force_generic_plan;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET statement_timeout = '30s';
-- A process that was paused with the checkpoint's lock in its hand loses it; the others wait for longer than that.
SET idle_in_transaction_session_timeout = '3s';
SET lock_timeout = '6s';
-- And one that was paused while the server still had much to tell it. Where the server's system has no such timer,
-- the operator ends it by hand.
DO $$ BEGIN
    PERFORM set_config('tcp_user_timeout', '4s', false);
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;

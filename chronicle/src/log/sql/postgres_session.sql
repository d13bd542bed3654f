-- What the connection that writes relies on, whatever the server's or the role's defaults are.
-- An operator's remote_apply is stronger and stays.
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
-- A cancelled wait for a standby reads as success, so no timer may cancel a commit.
SET statement_timeout = 0;
-- A process that was paused with the lock in its hand loses it; the others wait for longer than that.
SET idle_in_transaction_session_timeout = '3s';
SET lock_timeout = '6s';
-- And one that was paused while the server still had much to tell it: then it is not idle, but nothing
-- of what is sent is taken. Where the server's system has no such timer, the operator ends it by hand.
DO $$ BEGIN
    PERFORM set_config('tcp_user_timeout', '4s', false);
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;

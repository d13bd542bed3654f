-- One stream of $2 events, each with the text $3.
INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
SELECT 'Talk', $1, number, 'Sent', '1',
       json_build_object('Sent', json_build_object(
           'author', '00000000-0000-0000-0000-000000000001', 'message_id', gen_random_uuid(),
           'number', number, 'text', $3::text)),
       '{}'
FROM generate_series(1::bigint, $2) AS number

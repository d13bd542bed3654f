-- The log, the keys and the directory each have a database of their own.
CREATE DATABASE letopis_log;
CREATE DATABASE letopis_keys;
CREATE DATABASE letopis_directory;

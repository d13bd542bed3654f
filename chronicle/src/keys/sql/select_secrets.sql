SELECT name, version, kek, wrapped FROM secrets ORDER BY name, version;

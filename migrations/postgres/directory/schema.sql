-- One generation of the directory, in a schema of its own. Texts compare by bytes, as in SQLite and in Rust.
CREATE TABLE generation.accounts (
    user_id  uuid             PRIMARY KEY,
    email    text COLLATE "C" NOT NULL,
    state    text COLLATE "C" NOT NULL,
    position bigint           NOT NULL
);

CREATE TABLE generation.users (
    user_id      uuid             PRIMARY KEY,
    nickname     text COLLATE "C" NOT NULL,
    nickname_key text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    about        text COLLATE "C" NOT NULL,
    sort_key     text COLLATE "C" NOT NULL,
    -- Both or neither.
    photo_id     uuid,
    photo_blob   bytea,
    -- JSON
    settings     text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL,
    position     bigint           NOT NULL
);

-- A pair's friendship as the domain folds it.
CREATE TABLE generation.links (
    low      uuid             NOT NULL,
    high     uuid             NOT NULL,
    state    text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    PRIMARY KEY (low, high)
);

-- The same, once for each of the two.
CREATE TABLE generation.relations (
    person         uuid             NOT NULL,
    other          uuid             NOT NULL,
    relation       text COLLATE "C" NOT NULL,
    blocked        boolean          NOT NULL,
    blocked_me     boolean          NOT NULL,
    parted         boolean          NOT NULL,
    parted_me      boolean          NOT NULL,
    -- The last change that `person` may notice.
    shown_position bigint           NOT NULL,
    position       bigint           NOT NULL,
    PRIMARY KEY (person, other)
);

-- Weeks whose runs are being removed (see `[retention]`): their rows of `runs` go first, a few at a time, then the part of
-- the log goes as a whole. Meanwhile it has events of runs that are not there any more.
CREATE TABLE kbase_log_removals (
    part     text COLLATE "C" NOT NULL PRIMARY KEY,
    -- ids from here on, and below that
    lower    text COLLATE "C" NOT NULL,
    upper    text COLLATE "C" NOT NULL,
    begun_at timestamptz(3)   NOT NULL
);

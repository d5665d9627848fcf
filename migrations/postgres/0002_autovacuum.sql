-- How the two hot tables are kept in shape. Settings only: every build that knows the first migration works on with them.
-- The lock (SHARE UPDATE EXCLUSIVE) lets reads and writes go on.

-- A run is written several times and then never again. Vacuum goes through the table's indexes each time, so it gets twice
-- its usual pace; and how many runs are open swings within seconds, which the plans over the partial indexes depend on.
ALTER TABLE runs SET (autovacuum_vacuum_cost_delay = 1, autovacuum_analyze_scale_factor = 0.02);

-- An event never changes: the vacuum that follows insertions freezes it at once, so that no later one has to go through the
-- whole log to do that.
ALTER TABLE kbase_events SET (autovacuum_freeze_min_age = 0, autovacuum_analyze_scale_factor = 0.02);

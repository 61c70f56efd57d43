import GRDB

/// The tables, as SQL that never changes once it was released: a migration knows nothing of the types in the code.
///
/// Times are microseconds since 1970 UTC. JSON columns hold what only the application looks into; whatever a query
/// compares has a column of its own.
enum Schema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 first light") { db in try db.execute(sql: first) }
        migrator.registerMigration("hooks are explained and run again") { db in try db.execute(sql: hooksExplained) }
        migrator.registerMigration("artifacts are measured") { db in
            // What the run's artifacts took when the attempt was over; NULL where nobody knows.
            try db.execute(sql: "ALTER TABLE attempts ADD COLUMN artifacts_bytes INTEGER")
        }
        migrator.registerMigration("queues and fair shares") { db in try db.execute(sql: queues) }
        migrator.registerMigration("parents and children") { db in try db.execute(sql: parents) }
        return migrator
    }

    /// `runs_waiting` is in the order of the scheduler's lanes; what is held back is in none.
    private static let queues = """
        ALTER TABLE runs ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
        ALTER TABLE runs ADD COLUMN is_hook INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE runs ADD COLUMN timeout_seconds REAL NOT NULL DEFAULT 0;
        ALTER TABLE runs ADD COLUMN held_back_by TEXT;
        UPDATE runs SET is_hook = upstream IS NOT NULL WHERE upstream IS NOT NULL;
        CREATE INDEX runs_waiting ON runs(queue, is_hook, uid, needs, timeout_seconds, number)
            WHERE phase = 'queued' AND held_back_by IS NULL;
        CREATE INDEX runs_queued_by_user ON runs(uid, queue) WHERE phase = 'queued' AND is_hook = 0;

        -- What ended attempts have used, as `FairShare` counts it, as of `at`.
        CREATE TABLE used_shares (
            uid INTEGER PRIMARY KEY,
            seconds REAL NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE maintenance (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            from_at INTEGER NOT NULL,
            until_at INTEGER,
            reason TEXT NOT NULL,
            by_user TEXT NOT NULL,
            ended_at INTEGER
        ) STRICT;
        """

    /// A hook run that was asked for again has no `hook_index`, which belongs to the one that main's end has started.
    private static let hooksExplained = """
        ALTER TABLE hooks ADD COLUMN explanation TEXT;
        ALTER TABLE runs ADD COLUMN rerun_index INTEGER;
        CREATE INDEX runs_by_upstream ON runs(upstream) WHERE upstream IS NOT NULL;
        """

    /// Runs with children: `child_key` is the point of a matrix, the node of a graph, or the slot of a schedule in seconds,
    /// so that none of them ever gets two runs, whatever the code believes.
    private static let parents = """
        ALTER TABLE runs ADD COLUMN parent TEXT REFERENCES runs(id);
        ALTER TABLE runs ADD COLUMN child_key INTEGER;
        ALTER TABLE runs ADD COLUMN child_name TEXT;
        ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'job';
        ALTER TABLE runs ADD COLUMN cache_key TEXT;
        ALTER TABLE runs ADD COLUMN cached_from TEXT REFERENCES runs(id);
        CREATE UNIQUE INDEX runs_by_parent ON runs(parent, child_key) WHERE parent IS NOT NULL;
        CREATE INDEX runs_by_parent_status ON runs(parent, status) WHERE parent IS NOT NULL;
        CREATE INDEX runs_by_cache_key ON runs(cache_key, number) WHERE cache_key IS NOT NULL;
        """

    private static let first = """
        CREATE TABLE runs (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            project TEXT NOT NULL,
            uid INTEGER NOT NULL,
            user TEXT NOT NULL,
            identity TEXT NOT NULL,
            operation TEXT NOT NULL,
            inputs TEXT NOT NULL,
            outputs TEXT NOT NULL DEFAULT '{}',
            notes TEXT NOT NULL,
            working_directory TEXT,
            artifacts TEXT NOT NULL,
            upstream TEXT REFERENCES runs(id),
            hook_index INTEGER,
            hook_name TEXT,
            needs TEXT NOT NULL,
            state TEXT NOT NULL,
            phase TEXT NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            message TEXT NOT NULL DEFAULT '',
            attempt INTEGER NOT NULL DEFAULT 0,
            held_memory INTEGER NOT NULL DEFAULT 0,
            held_cpu INTEGER NOT NULL DEFAULT 0,
            created_at INTEGER NOT NULL,
            queued_at INTEGER,
            started_at INTEGER,
            finished_at INTEGER,
            UNIQUE (upstream, hook_index)
        ) STRICT;
        CREATE INDEX runs_by_phase ON runs(phase, number) WHERE phase <> 'finished';
        CREATE INDEX runs_by_user ON runs(uid, number);

        CREATE TABLE conditions (
            run TEXT NOT NULL REFERENCES runs(id),
            position INTEGER NOT NULL,
            status TEXT NOT NULL,
            reason TEXT NOT NULL,
            message TEXT NOT NULL,
            last_transition INTEGER NOT NULL,
            last_update INTEGER NOT NULL,
            PRIMARY KEY (run, position)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE events (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES runs(id),
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            what TEXT NOT NULL,
            detail TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX events_by_run ON events(run, sequence);

        CREATE TABLE outbox (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            run TEXT NOT NULL REFERENCES runs(id),
            attempt INTEGER NOT NULL,
            kind TEXT NOT NULL,
            UNIQUE (run, attempt, kind)
        ) STRICT;

        CREATE TABLE hooks (
            run TEXT NOT NULL REFERENCES runs(id),
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            origin TEXT NOT NULL,
            trigger TEXT NOT NULL,
            outcome TEXT,
            detail TEXT NOT NULL DEFAULT '',
            hook_run TEXT UNIQUE REFERENCES runs(id),
            decided_at INTEGER,
            PRIMARY KEY (run, position)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE attempts (
            run TEXT NOT NULL REFERENCES runs(id),
            number INTEGER NOT NULL,
            queued_at INTEGER,
            placed_at INTEGER NOT NULL,
            warden TEXT,
            journal_next INTEGER NOT NULL DEFAULT 0,
            accepted_at INTEGER,
            ended_at INTEGER,
            PRIMARY KEY (run, number)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE steps (
            run TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            name TEXT NOT NULL,
            position INTEGER NOT NULL,
            role TEXT NOT NULL,
            pid INTEGER,
            started_at INTEGER,
            finished_at INTEGER,
            exit TEXT,
            usage TEXT,
            receipt TEXT,
            PRIMARY KEY (run, attempt, name),
            FOREIGN KEY (run, attempt) REFERENCES attempts(run, number)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE devices (
            id TEXT PRIMARY KEY,
            position INTEGER NOT NULL,
            class TEXT NOT NULL,
            device TEXT NOT NULL,
            is_present INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE device_intervals (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            device TEXT NOT NULL REFERENCES devices(id),
            state TEXT NOT NULL,
            run TEXT REFERENCES runs(id),
            attempt INTEGER,
            began_at INTEGER NOT NULL,
            ended_at INTEGER
        ) STRICT;
        -- A device is in one state at a time, whatever the code believes.
        CREATE UNIQUE INDEX device_open_interval ON device_intervals(device) WHERE ended_at IS NULL;

        CREATE TABLE leases (
            run TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            device TEXT NOT NULL REFERENCES devices(id),
            leased_at INTEGER NOT NULL,
            releasing_at INTEGER,
            released_at INTEGER,
            quarantined_at INTEGER,
            evidence TEXT NOT NULL DEFAULT '[]',
            baseline TEXT,
            PRIMARY KEY (run, attempt, device),
            FOREIGN KEY (run, attempt) REFERENCES attempts(run, number)
        ) STRICT, WITHOUT ROWID;
        -- Never two leases of one device: a lease ends when the device was verified free.
        CREATE UNIQUE INDEX lease_of_device ON leases(device) WHERE released_at IS NULL;

        CREATE TABLE idempotency_keys (
            uid INTEGER NOT NULL,
            key TEXT NOT NULL,
            digest TEXT NOT NULL,
            run TEXT NOT NULL REFERENCES runs(id),
            at INTEGER NOT NULL,
            PRIMARY KEY (uid, key)
        ) STRICT, WITHOUT ROWID;
        """
}

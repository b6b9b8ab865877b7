-- The same facts as a task, its event and its outbox row, with the indexes that the works need and no others.
CREATE TABLE task (
    task_id text COLLATE "C" PRIMARY KEY,
    task_type text COLLATE "C" NOT NULL,
    principal_id text COLLATE "C" NOT NULL,
    adapter_name text NOT NULL,
    status text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    media_buy_id text,
    creative_id text,
    operation text,
    error_detail text NOT NULL,
    context_data jsonb NOT NULL,
    assigned_to bigint,
    assigned_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    due_by timestamptz,
    completed_at timestamptz,
    resolution text,
    resolution_detail text,
    resolved_by bigint,
    version integer NOT NULL
);
CREATE INDEX task_queue ON task (priority DESC, created_at) WHERE status IN ('pending', 'assigned', 'in_progress', 'escalated');
CREATE INDEX task_claimable ON task (priority DESC, created_at) WHERE status IN ('pending', 'escalated');
CREATE INDEX task_in_work ON task (created_at) WHERE status = 'in_progress';

CREATE TABLE task_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id text COLLATE "C" NOT NULL,
    seq integer NOT NULL,
    type text NOT NULL,
    actor bigint,
    at timestamptz NOT NULL,
    from_status text,
    to_status text,
    snapshot jsonb NOT NULL,
    UNIQUE (task_id, seq)
);

CREATE TABLE outbox (
    event_id bigint PRIMARY KEY,
    created_at timestamptz NOT NULL,
    dispatched_at timestamptz
);
CREATE INDEX outbox_waiting ON outbox (event_id) WHERE dispatched_at IS NULL;

/** The documents of the REST endpoint, as far as the pages show them. Times in seconds since 1970. */

export type Item = {
    id: string;
    state: string;
    rows: number;
    since: number;
    attempts: number;
    reason: string;
    next_step: string;
};

export type ConnectorStatus = {
    connector: string;
    name: string;
    title: string;
    mode: string;
    reason: string;
    since: number;
    next_probe: number;
    next_step: string;
    queued: number;
    rows_queued: number;
    oldest: number;
    retry_at: number;
    proposed: number;
    rows_proposed: number;
    items: Item[];
    trouble: string;
    outbox: 'directory' | 'cluster';
    /** Of the cluster's outbox: which member sent last, and whether it sends now. */
    sender?: string;
    sends_now?: boolean;
};

/** What a member of the cluster has accepted and not promoted; `at` is when it said so. */
export type Backlog = { member: string; batches: number; rows: number; oldest: number; problem: string; at: number };

export type QueueStatus = {
    sender: { host: string; alive: boolean; problem: string; next_step: string; seconds_since_sign_of_life: number | null };
    cluster: { member: string; problem: string; next_step: string; members: Backlog[] } | null;
    connectors: ConnectorStatus[];
    proposed: Proposal[];
};

/** A batch that waits for release. `problem` says why the signed-in user cannot release it, if so. */
export type Proposal = {
    connector: string;
    batch: string;
    rows: number;
    since: number;
    by: string;
    problem: string;
    next_step: string;
};

/** The first rows of a proposal. */
export type ProposalRows = { header: string[]; rows: string[][] };

export type Batch = {
    id: string;
    connector: string;
    place: string;
    problem: string;
    manifest: { rows: number; accepted: number; run: string; origin: { user: string; details: Record<string, string> } } | null;
    history: Record<string, string | number>[];
    payload_kept: boolean;
};

/** A connector. Settings without a value are absent. */
export type Connector = {
    name: string;
    disabled: boolean;
    secret_saved: boolean;
    trouble: string;
    profile?: string;
    profile_yaml?: string;
    job_id?: string;
    tenant_id?: string;
    app_id?: string;
    cloud?: string;
    in_doubt?: string;
    proxy?: string;
    outbox?: string;
    ca_file?: string;
    emulator?: string;
    emulator_ca?: string;
};

export type Finding = { check: string; grade: 'good' | 'note' | 'bad'; found: string; next_step: string };

export type Shipped = { name: string; text: string };

/** What comes near to or passes a published limit. */
export type Limit = { text: string; passed: boolean };

export type Checked = {
    good: boolean;
    columns: { header: string; field: string; type: string; role: string }[];
    trouble: { error: string; where: string | null; next_step: string } | null;
    limits: Limit[];
    preview: {
        header: string[];
        rows: string[][];
        refused: { line: number; column: string; reason: string; advice: string }[];
        counts: { read: number; shaped: number; merged: number; rejected: number };
    } | null;
};

/** The queue: what is queued and why, and the batches that need a decision. */
import Button from '@splunk/react-ui/Button';
import DefinitionList from '@splunk/react-ui/DefinitionList';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Paragraph from '@splunk/react-ui/Paragraph';
import RadioList from '@splunk/react-ui/RadioList';
import TextArea from '@splunk/react-ui/TextArea';
import { useCallback, useEffect, useState } from 'react';

import texts from '../../bin/irmsplunk/splunk/next_steps.json';
import { Act, Dialog, Field, Grid, Loading, Page, Row, rows, time, Trouble, useActions } from './frame';
import type { Batch, ConnectorStatus, Item, QueueStatus } from './model';
import { request, type Form } from './rest';

/** Milliseconds between two refreshes. */
const REFRESH_INTERVAL = 15_000;

/** A decision about a batch: what is posted, and what it means. */
type Decision = { value: string; path: string; form: Form; label: string; meaning: string };

const DECISIONS: Record<string, Decision> = {
    sent: {
        value: 'sent',
        path: 'resolve',
        form: { outcome: 'sent' },
        label: texts.labels.sent,
        meaning: "The connector's log in the portal counts these rows (RecordsSaved). Nothing is sent again.",
    },
    resend: {
        value: 'resend',
        path: 'resolve',
        form: { outcome: 'resend' },
        label: texts.labels.resend,
        meaning: 'The log does not count these rows. If it does after all, the service gets them twice.',
    },
    requeue: {
        value: 'requeue',
        path: 'requeue',
        form: {},
        label: texts.labels.requeue,
        meaning: 'The reason why the service refused the batch has been fixed.',
    },
    withdraw: {
        value: 'withdraw',
        path: 'resolve',
        form: { outcome: 'withdraw' },
        label: texts.labels.withdraw,
        meaning: 'The rows count as never sent, so the next search can send them again.',
    },
};

const BY_STATE: Record<string, Decision[]> = {
    HELD: [DECISIONS.sent, DECISIONS.resend, DECISIONS.withdraw],
    DEAD: [DECISIONS.requeue, DECISIONS.withdraw],
    QUARANTINED: [DECISIONS.requeue, DECISIONS.withdraw],
};

type Open = { kind: 'resolve' | 'history'; item: Item };

export function Queue() {
    const [status, setStatus] = useState<QueueStatus | null>(null);
    const [open, setOpen] = useState<Open | null>(null);
    const [stale, setStale] = useState<unknown>(null);
    const { trouble, done, run } = useActions();

    const load = useCallback(async () => setStatus(await request<QueueStatus>('GET', 'queue')), []);
    useEffect(() => {
        run(load);
        const timer = setInterval(() => load().then(() => setStale(null), setStale), REFRESH_INTERVAL);
        return () => clearInterval(timer);
    }, [load, run]);

    const resume = (connector: ConnectorStatus) =>
        run(async () => {
            await request('POST', `connectors/${encodeURIComponent(connector.connector)}/resume`);
            await load();
            return `${connector.connector} may send again.`;
        });
    const resolved = (item: Item, decision: string) =>
        run(async () => {
            setOpen(null);
            await load();
            return `${item.id.slice(0, 12)}: ${decision}`;
        });

    return (
        <Page
            title="Queue"
            about="The batches that are queued on this search head, and those that need a decision."
            trouble={trouble ?? stale}
            done={done}
        >
            <Row>
                <Act label="Refresh" onAct={() => run(load)} />
                {status && <span>Search head: {status.sender.host}</span>}
            </Row>
            {!status && !trouble && <Loading />}
            {status && !status.sender.alive && (
                <Message appearance="fill" type="warning">
                    <Message.Title>{status.sender.problem || 'The sender is not running'}</Message.Title>
                    Queued rows are not lost. {status.sender.next_step}
                </Message>
            )}
            {status?.connectors.length === 0 && (
                <Paragraph>Nothing has been exported on {status.sender.host} yet.</Paragraph>
            )}
            {status?.connectors.map((connector) => (
                <ConnectorQueue
                    key={connector.name}
                    connector={connector}
                    onResume={() => resume(connector)}
                    onOpen={setOpen}
                />
            ))}
            {open?.kind === 'resolve' && (
                <Resolve item={open.item} onClose={() => setOpen(null)} onDone={resolved} />
            )}
            {open?.kind === 'history' && <History item={open.item} onClose={() => setOpen(null)} />}
        </Page>
    );
}

/** One connector: whether it is paused, how much is queued, and the batches that need a decision. */
function ConnectorQueue(props: { connector: ConnectorStatus; onResume: () => Promise<unknown>; onOpen: (open: Open) => void }) {
    const { connector, onOpen } = props;
    const name = connector.connector || connector.name;
    return (
        <section aria-label={name}>
            <Heading level={2}>{name}</Heading>
            <Paragraph>
                {inQueue(connector)}
                {connector.retry_at > 0 && ` Next attempt at ${time(connector.retry_at)}.`}
            </Paragraph>
            {connector.trouble && <Message type="error">{connector.trouble}</Message>}
            {connector.mode !== 'open' && (
                <>
                    <Message appearance="fill" type="warning">
                        <Message.Title>
                            {connector.mode === 'paused' ? 'Paused' : 'Suspended'}: {connector.reason}, since{' '}
                            {time(connector.since)}
                        </Message.Title>
                        {connector.next_step}
                    </Message>
                    <Row>
                        <Act label={`Resume ${connector.connector}`} onAct={props.onResume} />
                    </Row>
                </>
            )}
            {connector.items.length > 0 && (
                <Grid
                    caption={`Batches of ${connector.connector} that need a decision`}
                    header={['Batch', 'State', 'Rows', 'Since', 'Reason', 'Next step', '']}
                    rows={connector.items.map((item) => ({
                        key: item.id,
                        cells: [
                            item.id.slice(0, 12),
                            item.state,
                            item.rows,
                            time(item.since),
                            item.reason,
                            item.next_step,
                            <Row key="actions">
                                {BY_STATE[item.state] && (
                                    <Button
                                        label="Resolve"
                                        aria-label={`Resolve ${item.id.slice(0, 12)}`}
                                        onClick={() => onOpen({ kind: 'resolve', item })}
                                    />
                                )}
                                <Button
                                    label="History"
                                    aria-label={`History of ${item.id.slice(0, 12)}`}
                                    onClick={() => onOpen({ kind: 'history', item })}
                                />
                            </Row>,
                        ],
                    }))}
                />
            )}
        </section>
    );
}

/** What a connector's queue has, in a sentence. */
function inQueue({ queued, rows_queued, oldest, items, trouble }: ConnectorStatus): string {
    const parts = [];
    if (queued) parts.push(`${batches(queued)} queued (${rows(rows_queued)}), the oldest since ${time(oldest)}.`);
    const held = items.reduce((sum, item) => sum + item.rows, 0);
    if (items.length) parts.push(`${batches(items.length)} (${rows(held)}) cannot be sent without a decision.`);
    return parts.join(' ') || (trouble ? '' : 'Nothing queued.');
}

function batches(count: number): string {
    return `${count.toLocaleString('en-US')} ${count === 1 ? 'batch' : 'batches'}`;
}

/** A person's decision about a batch, with the reason for the audit record. */
function Resolve(props: {
    item: Item;
    onClose: () => void;
    onDone: (item: Item, decision: string) => void;
}) {
    const { item } = props;
    const decisions = BY_STATE[item.state];
    const [value, setValue] = useState('');
    const [why, setWhy] = useState('');
    const [missing, setMissing] = useState(false);
    const [trouble, setTrouble] = useState<unknown>(null);
    const chosen = decisions.find((decision) => decision.value === value);

    const act = async () => {
        if (!chosen || !why.trim()) {
            setMissing(true);
            return;
        }
        try {
            await request('POST', `batches/${item.id}/${chosen.path}`, { ...chosen.form, why });
            props.onDone(item, `${chosen.label.toLowerCase()}.`);
        } catch (error) {
            setTrouble(error);
        }
    };
    return (
        <Dialog
            title={`Resolve ${item.id.slice(0, 12)} (${rows(item.rows)})`}
            action="Record"
            destructive={chosen === DECISIONS.withdraw}
            onAct={act}
            onClose={props.onClose}
        >
            <Trouble error={trouble} />
            <Paragraph>{item.next_step}</Paragraph>
            <Field
                label="Decision"
                required
                error={missing && !chosen && 'Choose one.'}
            >
                <RadioList value={value} onChange={(_, data) => setValue(String(data.value))}>
                    {decisions.map(({ value, label, meaning }) => (
                        <RadioList.Option key={value} value={value} description={meaning}>
                            {label}
                        </RadioList.Option>
                    ))}
                </RadioList>
            </Field>
            <Field
                label="Reason"
                required
                help="It is kept in the audit record with your name."
                error={missing && !why.trim() && 'Enter a reason.'}
            >
                <TextArea value={why} rowsMin={2} onChange={(_, data) => setWhy(data.value)} />
            </Field>
        </Dialog>
    );
}

/** Everything on record about a batch, except its rows. */
function History(props: { item: Item; onClose: () => void }) {
    const [batch, setBatch] = useState<Batch | null>(null);
    const [trouble, setTrouble] = useState<unknown>(null);
    useEffect(() => {
        request<Batch>('GET', `batches/${props.item.id}`).then(setBatch, setTrouble);
    }, [props.item.id]);
    const origin = batch?.manifest?.origin;
    const facts: [string, string][] = batch
        ? [
              ['Batch', batch.id],
              ['Accepted', time(batch.manifest?.accepted ?? 0)],
              ['User', origin?.user ?? ''],
              ['Search', origin?.details.search_name ?? origin?.details.sid ?? ''],
              ['Problem', batch.problem],
          ]
        : [];
    return (
        <Dialog title="History" action="" onClose={props.onClose}>
            <Trouble error={trouble} />
            <DefinitionList>
                {facts
                    .filter(([, value]) => value)
                    .flatMap(([name, value]) => [
                        <DefinitionList.Term key={name}>{name}</DefinitionList.Term>,
                        <DefinitionList.Description key={`${name}:`}>{value}</DefinitionList.Description>,
                    ])}
            </DefinitionList>
            {!batch && !trouble && <Loading />}
            {batch && (
                <Grid
                    caption="Events"
                    header={['Time', 'Event', 'Code', 'By', 'Reason']}
                    rows={batch.history.map((event, index) => ({
                        key: String(index),
                        cells: [
                            time(Number(event.at ?? 0)),
                            event.event ?? '',
                            event.code ?? '',
                            event.by ?? '',
                            event.why ?? '',
                        ],
                    }))}
                />
            )}
        </Dialog>
    );
}

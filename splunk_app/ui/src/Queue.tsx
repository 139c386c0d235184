/** The queue: what is queued and why, and the batches that need a decision. */
import Button from '@splunk/react-ui/Button';
import ControlGroup from '@splunk/react-ui/ControlGroup';
import DefinitionList from '@splunk/react-ui/DefinitionList';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Paragraph from '@splunk/react-ui/Paragraph';
import RadioList from '@splunk/react-ui/RadioList';
import TextArea from '@splunk/react-ui/TextArea';
import { useCallback, useEffect, useState } from 'react';

import { Dialog, Grid, time, Page, Row, rows, Trouble, useActions } from './frame';
import type { Batch, ConnectorStatus, Item, QueueStatus } from './model';
import { request, type Form } from './rest';
import { LABEL, onPage } from './steps';

/** Milliseconds between two refreshes. */
const REFRESH_INTERVAL = 15_000;

/** A decision about a batch: what is posted, and what it means. */
type Decision = { value: string; path: string; form: Form; label: string; meaning: string };

const DECISIONS: Record<string, Decision> = {
    sent: {
        value: 'sent',
        path: 'resolve',
        form: { outcome: 'sent' },
        label: LABEL.sent,
        meaning: "The connector's log in the portal counts these rows (RecordsSaved). Nothing is sent again.",
    },
    resend: {
        value: 'resend',
        path: 'resolve',
        form: { outcome: 'resend' },
        label: LABEL.resend,
        meaning: 'The log does not count these rows. If it does after all, the service gets them twice.',
    },
    requeue: {
        value: 'requeue',
        path: 'requeue',
        form: {},
        label: LABEL.requeue,
        meaning: 'The reason why the service refused the batch has been fixed.',
    },
    withdraw: {
        value: 'withdraw',
        path: 'resolve',
        form: { outcome: 'withdraw' },
        label: LABEL.withdraw,
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
                <Button label="Refresh" onClick={() => run(load)} />
            </Row>
            {status && !status.sender.alive && (
                <Message appearance="fill" type="warning">
                    The sender is not running. Queued rows are not lost. Enable the data input irmexport://main on
                    this search head (Settings, Data inputs).
                </Message>
            )}
            {status?.connectors.length === 0 && (
                <Paragraph>Nothing has been exported on this search head yet.</Paragraph>
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
function ConnectorQueue(props: { connector: ConnectorStatus; onResume: () => void; onOpen: (open: Open) => void }) {
    const { connector, onOpen } = props;
    const name = connector.connector || connector.name;
    const queued = connector.queued
        ? `${connector.queued} queued (${rows(connector.rows_queued)}), the oldest since ${time(connector.oldest)}`
        : 'Nothing queued';
    return (
        <section aria-label={name}>
            <Heading level={2}>{name}</Heading>
            <Paragraph>
                {queued}.{connector.retry_at > 0 && ` Next attempt at ${time(connector.retry_at)}.`}
            </Paragraph>
            {connector.trouble && <Message type="error">{onPage(connector.trouble)}</Message>}
            {connector.mode !== 'open' && (
                <>
                    <Message appearance="fill" type="warning">
                        <Message.Title>
                            {connector.mode === 'paused' ? 'Paused' : 'Suspended'}: {connector.reason}, since{' '}
                            {time(connector.since)}
                        </Message.Title>
                        {onPage(connector.next_step)}
                    </Message>
                    <Row>
                        <Button label={`Resume ${connector.connector}`} onClick={props.onResume} />
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
                            onPage(item.next_step),
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
            <Paragraph>{onPage(item.next_step)}</Paragraph>
            <ControlGroup
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
            </ControlGroup>
            <ControlGroup
                label="Reason"
                required
                help="It is kept in the audit record with your name."
                error={missing && !why.trim() && 'Enter a reason.'}
            >
                <TextArea value={why} rowsMin={2} onChange={(_, data) => setWhy(data.value)} />
            </ControlGroup>
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

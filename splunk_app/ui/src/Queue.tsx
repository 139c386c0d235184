/** The queue: what is queued and why, and the batches that need a decision. */
import Button from '@splunk/react-ui/Button';
import DefinitionList from '@splunk/react-ui/DefinitionList';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Paragraph from '@splunk/react-ui/Paragraph';
import { useCallback, useEffect, useState } from 'react';

import { Decide, DECISIONS, type Decision } from './Decide';
import { Act, Dialog, Grid, Loading, Page, Row, rows, time, Trouble, useActions } from './frame';
import type { Batch, ConnectorStatus, Item, Proposal, QueueStatus } from './model';
import { Preview, type ProposalAction, Proposals } from './Proposals';
import { CONFIGURE, RELEASE, request, requestRelease } from './rest';

/** Milliseconds between two refreshes. */
const REFRESH_INTERVAL = 15_000;

const BY_STATE: Record<string, Decision[]> = {
    HELD: [DECISIONS.sent, DECISIONS.resend, DECISIONS.withdraw],
    DEAD: [DECISIONS.requeue, DECISIONS.withdraw],
    QUARANTINED: [DECISIONS.requeue, DECISIONS.withdraw],
};

type Open = { kind: 'resolve' | 'history'; item: Item } | { kind: ProposalAction; item: Proposal };

/** A user with only one of both capabilities sees what that one allows. */
export function Queue({ capabilities }: { capabilities: string[] }) {
    const configures = capabilities.includes(CONFIGURE);
    const mayRelease = capabilities.includes(RELEASE);
    const [status, setStatus] = useState<QueueStatus | null>(null);
    const [proposals, setProposals] = useState<Proposal[] | null>(null);
    const [open, setOpen] = useState<Open | null>(null);
    const [stale, setStale] = useState<unknown>(null);
    const { trouble, done, run } = useActions();

    const load = useCallback(async () => {
        if (configures) {
            const found = await request<QueueStatus>('GET', 'queue');
            setStatus(found);
            setProposals(found.proposed);
        } else setProposals((await requestRelease<{ batches: Proposal[] }>('GET', 'batches')).batches);
    }, [configures]);
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
    const close = () => setOpen(null);
    const decided = (id: string, decision: Decision) =>
        run(async () => {
            close();
            await load();
            return `${id.slice(0, 12)}: ${decision.done ?? decision.label.toLowerCase()}.`;
        });

    return (
        <Page
            title="Queue"
            about="The batches that are queued, and those that need a decision."
            trouble={trouble ?? stale}
            done={done}
        >
            <Row>
                <Act label="Refresh" onAct={() => run(load)} />
                {status && <span>Search head: {status.sender.host}</span>}
            </Row>
            {!proposals && !trouble && <Loading />}
            {status && !status.sender.alive && (
                <Message appearance="fill" type="warning">
                    <Message.Title>{status.sender.problem || 'The sender is not running'}</Message.Title>
                    Queued rows are not lost. {status.sender.next_step}
                </Message>
            )}
            {status?.cluster && <Cluster cluster={status.cluster} />}
            {status?.connectors.length === 0 && (
                <Paragraph>Nothing has been exported on {status.sender.host} yet.</Paragraph>
            )}
            {status?.connectors.map((connector) => (
                <ConnectorQueue
                    key={`${connector.name} ${connector.outbox}`}
                    isMember={status.cluster !== null}
                    connector={connector}
                    onResume={() => resume(connector)}
                    onOpen={setOpen}
                />
            ))}
            {proposals && (proposals.length > 0 || !configures) && (
                <Proposals
                    proposals={proposals}
                    mayRelease={mayRelease}
                    onOpen={(kind, item) => setOpen({ kind, item })}
                />
            )}
            {open?.kind === 'resolve' && (
                <Decide
                    verb="Resolve"
                    batch={open.item}
                    decisions={BY_STATE[open.item.state]}
                    action="Record"
                    hint={open.item.next_step}
                    onClose={close}
                    onDone={decided}
                />
            )}
            {(open?.kind === 'release' || open?.kind === 'reject') && (
                <Decide
                    verb={DECISIONS[open.kind].label}
                    batch={{ id: open.item.batch, rows: open.item.rows }}
                    decisions={[DECISIONS[open.kind]]}
                    action={DECISIONS[open.kind].label}
                    hint={DECISIONS[open.kind].meaning}
                    onClose={close}
                    onDone={decided}
                />
            )}
            {open?.kind === 'preview' && <Preview item={open.item} onClose={close} />}
            {open?.kind === 'history' && <History item={open.item} onClose={close} />}
        </Page>
    );
}

/** The members of the search head cluster, and what each has not moved to the queue that they share. */
function Cluster({ cluster }: { cluster: NonNullable<QueueStatus['cluster']> }) {
    return (
        <>
            {cluster.problem && (
                <Message appearance="fill" type="warning">
                    <Message.Title>{cluster.problem}</Message.Title>
                    Rows wait on the members that took them. {cluster.next_step}
                </Message>
            )}
            {cluster.members.length > 0 && (
                <Grid
                    caption="Members of the search head cluster"
                    header={['Member', 'Not in the shared queue yet', 'Problem', 'As of']}
                    rows={cluster.members.map(({ member, batches: count, rows: waiting, problem, at }) => ({
                        key: member,
                        cells: [member, count ? `${batches(count)} (${rows(waiting)})` : 'nothing', problem, time(at)],
                    }))}
                />
            )}
        </>
    );
}

/** One connector: whether it is paused, how much is queued, and the batches that need a decision. */
function ConnectorQueue(props: {
    connector: ConnectorStatus;
    isMember: boolean;
    onResume: () => Promise<unknown>;
    onOpen: (open: Open) => void;
}) {
    const { connector, isMember, onOpen } = props;
    const place = isMember && connector.outbox === 'directory' ? ', on this search head alone' : '';
    const name = `${connector.connector || connector.name}${place}`;
    return (
        <section aria-label={name}>
            <Heading level={2}>{name}</Heading>
            <Paragraph>
                {connector.sender && `${connector.sends_now ? 'Sending' : 'Sent last'}: ${connector.sender}. `}
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
function inQueue({ queued, rows_queued, oldest, proposed, rows_proposed, items, trouble }: ConnectorStatus): string {
    const parts = [];
    if (queued) parts.push(`${batches(queued)} queued (${rows(rows_queued)}), the oldest since ${time(oldest)}.`);
    if (proposed) parts.push(`${batches(proposed)} (${rows(rows_proposed)}) ${proposed === 1 ? 'waits' : 'wait'} for release.`);
    const held = items.reduce((sum, item) => sum + item.rows, 0);
    if (items.length) parts.push(`${batches(items.length)} (${rows(held)}) cannot be sent without a decision.`);
    return parts.join(' ') || (trouble ? '' : 'Nothing queued.');
}

function batches(count: number): string {
    return `${count.toLocaleString('en-US')} ${count === 1 ? 'batch' : 'batches'}`;
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

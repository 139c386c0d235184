/** Queue and held: what waits and why, what needs a person, and how a person ends it. */
import Button from '@splunk/react-ui/Button';
import ControlGroup from '@splunk/react-ui/ControlGroup';
import DefinitionList from '@splunk/react-ui/DefinitionList';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Paragraph from '@splunk/react-ui/Paragraph';
import RadioList from '@splunk/react-ui/RadioList';
import TextArea from '@splunk/react-ui/TextArea';
import { useCallback, useEffect, useState } from 'react';

import { Dialog, Grid, moment, Page, Row, rows, Trouble, useActions } from './frame';
import type { Batch, Item, Overview, Queue as Standing } from './model';
import { ask, type Form } from './rest';
import { LABEL, onPage } from './steps';

/** Milliseconds between two looks. */
const AGAIN = 15_000;

/** The ways to end a wait, for each state: what is posted, and what a person is told of it. */
type Way = { value: string; path: string; form: Form; label: string; told: string };

const WAYS: Record<string, Way> = {
    sent: {
        value: 'sent',
        path: 'resolve',
        form: { outcome: 'sent' },
        label: LABEL.sent,
        told: "The connector's log in the portal counts these rows (RecordsSaved). Nothing is sent again.",
    },
    resend: {
        value: 'resend',
        path: 'resolve',
        form: { outcome: 'resend' },
        label: LABEL.resend,
        told: 'The log does not count them. If it does, after all, the service sees the rows twice.',
    },
    requeue: {
        value: 'requeue',
        path: 'requeue',
        form: {},
        label: LABEL.requeue,
        told: 'What the service refused it for has been put right.',
    },
    withdraw: {
        value: 'withdraw',
        path: 'resolve',
        form: { outcome: 'withdraw' },
        label: LABEL.withdraw,
        told: 'Its rows count as never sent: the next search may send them again.',
    },
};

const OF_STATE: Record<string, Way[]> = {
    HELD: [WAYS.sent, WAYS.resend, WAYS.withdraw],
    DEAD: [WAYS.requeue, WAYS.withdraw],
    QUARANTINED: [WAYS.requeue, WAYS.withdraw],
};

type Open = { kind: 'decide' | 'batch'; item: Item };

export function Queue() {
    const [standing, setStanding] = useState<Standing | null>(null);
    const [open, setOpen] = useState<Open | null>(null);
    const [stale, setStale] = useState<unknown>(null);
    const { trouble, done, run } = useActions();

    const load = useCallback(async () => setStanding(await ask<Standing>('GET', 'queue')), []);
    useEffect(() => {
        run(load);
        const timer = setInterval(() => load().then(() => setStale(null), setStale), AGAIN);
        return () => clearInterval(timer);
    }, [load, run]);

    const resume = (box: Overview) =>
        run(async () => {
            await ask('POST', `connectors/${encodeURIComponent(box.connector)}/resume`);
            await load();
            return `${box.connector} may send again.`;
        });
    const decided = (item: Item, told: string) =>
        run(async () => {
            setOpen(null);
            await load();
            return `${item.id.slice(0, 12)}: ${told}`;
        });

    return (
        <Page
            title="Queue"
            about="What waits on this search head to be sent, and what needs a person."
            trouble={trouble ?? stale}
            done={done}
        >
            <Row>
                <Button label="Refresh" onClick={() => run(load)} />
            </Row>
            {standing && !standing.sender.alive && (
                <Message appearance="fill" type="warning">
                    The sender is not running: queued rows wait and are not lost. Enable the data input
                    irmexport://main on this search head (Settings, Data inputs).
                </Message>
            )}
            {standing?.connectors.length === 0 && (
                <Paragraph>Nothing has been exported on this search head yet.</Paragraph>
            )}
            {standing?.connectors.map((box) => (
                <Box key={box.name} box={box} onResume={() => resume(box)} onOpen={setOpen} />
            ))}
            {open?.kind === 'decide' && (
                <Decide item={open.item} onClose={() => setOpen(null)} onDone={decided} />
            )}
            {open?.kind === 'batch' && <Story item={open.item} onClose={() => setOpen(null)} />}
        </Page>
    );
}

/** One connector: whether it may send, how much waits, and the batches that need a person. */
function Box(props: { box: Overview; onResume: () => void; onOpen: (open: Open) => void }) {
    const { box, onOpen } = props;
    const waits = box.queued
        ? `${box.queued} queued (${rows(box.rows_queued)}), the oldest since ${moment(box.oldest)}`
        : 'Nothing queued';
    return (
        <section aria-label={box.connector || box.name}>
            <Heading level={2}>{box.connector || box.name}</Heading>
            <Paragraph>
                {waits}.{box.retry_at > 0 && ` Next try ${moment(box.retry_at)}.`}
            </Paragraph>
            {box.trouble && <Message type="error">{onPage(box.trouble)}</Message>}
            {box.mode !== 'open' && (
                <>
                    <Message appearance="fill" type="warning">
                        <Message.Title>
                            {box.mode === 'paused' ? 'Paused' : 'Held back'}: {box.reason}, since{' '}
                            {moment(box.since)}
                        </Message.Title>
                        {onPage(box.next_step)}
                    </Message>
                    <Row>
                        <Button label={`Resume ${box.connector}`} onClick={props.onResume} />
                    </Row>
                </>
            )}
            {box.items.length > 0 && (
                <Grid
                    caption={`Batches of ${box.connector} that need a person`}
                    header={['Batch', 'State', 'Rows', 'Since', 'Why', 'Next step', '']}
                    rows={box.items.map((item) => ({
                        key: item.id,
                        cells: [
                            item.id.slice(0, 12),
                            item.state,
                            item.rows,
                            moment(item.since),
                            item.reason,
                            onPage(item.next_step),
                            <Row key="actions">
                                {OF_STATE[item.state] && (
                                    <Button
                                        label="Resolve"
                                        aria-label={`Resolve ${item.id.slice(0, 12)}`}
                                        onClick={() => onOpen({ kind: 'decide', item })}
                                    />
                                )}
                                <Button
                                    label="History"
                                    aria-label={`History of ${item.id.slice(0, 12)}`}
                                    onClick={() => onOpen({ kind: 'batch', item })}
                                />
                            </Row>,
                        ],
                    }))}
                />
            )}
        </section>
    );
}

/** The decision of a person, with the reason that goes into the record. */
function Decide(props: {
    item: Item;
    onClose: () => void;
    onDone: (item: Item, told: string) => void;
}) {
    const { item } = props;
    const ways = OF_STATE[item.state];
    const [value, setValue] = useState('');
    const [why, setWhy] = useState('');
    const [missing, setMissing] = useState(false);
    const [trouble, setTrouble] = useState<unknown>(null);
    const chosen = ways.find((way) => way.value === value);

    const act = async () => {
        if (!chosen || !why.trim()) {
            setMissing(true);
            return;
        }
        try {
            await ask('POST', `batches/${item.id}/${chosen.path}`, { ...chosen.form, why });
            props.onDone(item, `${chosen.label.toLowerCase()}.`);
        } catch (error) {
            setTrouble(error);
        }
    };
    return (
        <Dialog
            title={`Resolve ${item.id.slice(0, 12)} (${rows(item.rows)})`}
            action="Record it"
            destructive={chosen === WAYS.withdraw}
            onAct={act}
            onClose={props.onClose}
        >
            <Trouble error={trouble} />
            <Paragraph>{onPage(item.next_step)}</Paragraph>
            <ControlGroup
                label="What became of it"
                required
                error={missing && !chosen && 'Choose one.'}
            >
                <RadioList value={value} onChange={(_, data) => setValue(String(data.value))}>
                    {ways.map((way) => (
                        <RadioList.Option key={way.value} value={way.value} description={way.told}>
                            {way.label}
                        </RadioList.Option>
                    ))}
                </RadioList>
            </ControlGroup>
            <ControlGroup
                label="Why"
                required
                help="Goes into the audit record, with your name."
                error={missing && !why.trim() && 'Say how you know.'}
            >
                <TextArea value={why} rowsMin={2} onChange={(_, data) => setWhy(data.value)} />
            </ControlGroup>
        </Dialog>
    );
}

/** All that is on record of a batch; never its rows. */
function Story(props: { item: Item; onClose: () => void }) {
    const [batch, setBatch] = useState<Batch | null>(null);
    const [trouble, setTrouble] = useState<unknown>(null);
    useEffect(() => {
        ask<Batch>('GET', `batches/${props.item.id}`).then(setBatch, setTrouble);
    }, [props.item.id]);
    const origin = batch?.manifest?.origin;
    const facts: [string, string][] = batch
        ? [
              ['Batch', batch.id],
              ['Accepted', moment(batch.manifest?.accepted ?? 0)],
              ['User', origin?.user ?? ''],
              ['Search', origin?.details.search_name ?? origin?.details.sid ?? ''],
              ['Trouble', batch.problem],
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
                    header={['When', 'Event', 'Code', 'By', 'Why']}
                    rows={batch.history.map((event, index) => ({
                        key: String(index),
                        cells: [
                            moment(Number(event.at ?? 0)),
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

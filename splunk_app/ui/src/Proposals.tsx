/** The batches that wait for release by a second person: who proposed them, their rows, and the decision. */
import Button from '@splunk/react-ui/Button';
import Heading from '@splunk/react-ui/Heading';
import Paragraph from '@splunk/react-ui/Paragraph';
import { useEffect, useState } from 'react';

import texts from '../../bin/irmsplunk/splunk/next_steps.json';
import { Dialog, Grid, Loading, Row, rows, time, Trouble } from './frame';
import type { Proposal, ProposalRows } from './model';
import { requestRelease } from './rest';

export type ProposalAction = 'release' | 'reject' | 'preview';

const LABELS: Record<ProposalAction, string> = {
    preview: 'Preview',
    release: texts.labels.release,
    reject: texts.labels.reject,
};

/** Without `mayRelease`, only the state is shown. The server says which ones this user cannot release, and why. */
export function Proposals(props: {
    proposals: Proposal[];
    mayRelease: boolean;
    onOpen: (kind: ProposalAction, item: Proposal) => void;
}) {
    const { proposals, mayRelease } = props;
    const button = (kind: ProposalAction, item: Proposal) => (
        <Button
            label={LABELS[kind]}
            aria-label={`${LABELS[kind]} ${item.batch.slice(0, 12)}`}
            onClick={() => props.onOpen(kind, item)}
        />
    );
    const problems = mayRelease && proposals.some(({ problem }) => problem);
    const problem = (item: Proposal) => item.problem && `${item.problem}. ${item.next_step}`;
    const actions = (item: Proposal) => (
        <Row key="actions">
            {button('preview', item)}
            {!item.problem && button('release', item)}
            {button('reject', item)}
        </Row>
    );
    return (
        <section aria-label="Waits for release">
            <Heading level={2}>Waits for release</Heading>
            {proposals.length === 0 && <Paragraph>Nothing waits for release on this search head.</Paragraph>}
            {proposals.length > 0 && (
                <Grid
                    caption="Batches that wait for release"
                    header={[
                        ...['Batch', 'Connector', 'Rows', 'Proposed by', 'Since'],
                        ...(problems ? ['Note'] : []),
                        ...(mayRelease ? [''] : []),
                    ]}
                    rows={proposals.map((item) => ({
                        key: item.batch,
                        cells: [
                            item.batch.slice(0, 12),
                            item.connector,
                            item.rows,
                            item.by,
                            time(item.since),
                            ...(problems ? [problem(item)] : []),
                            ...(mayRelease ? [actions(item)] : []),
                        ],
                    }))}
                />
            )}
        </section>
    );
}

/** The first rows of a proposed batch, with names or pseudonyms as the server returns them. */
export function Preview(props: { item: Proposal; onClose: () => void }) {
    const { item } = props;
    const [found, setFound] = useState<ProposalRows | null>(null);
    const [trouble, setTrouble] = useState<unknown>(null);
    useEffect(() => {
        requestRelease<ProposalRows>('GET', `batches/${item.batch}`).then(setFound, setTrouble);
    }, [item.batch]);
    return (
        <Dialog title={`Preview of ${item.batch.slice(0, 12)} (${rows(item.rows)})`} action="" onClose={props.onClose}>
            <Trouble error={trouble} />
            {!found && !trouble && <Loading />}
            {found && found.rows.length < item.rows && <Paragraph>The first {rows(found.rows.length)}:</Paragraph>}
            {found && (
                <Grid
                    caption="Proposed rows"
                    header={found.header}
                    rows={found.rows.map((cells, index) => ({ key: String(index), cells }))}
                />
            )}
        </Dialog>
    );
}

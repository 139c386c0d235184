/** Connectors: list, create, edit, remove, and test the connection without an upload. */
import Button from '@splunk/react-ui/Button';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Paragraph from '@splunk/react-ui/Paragraph';
import { useState } from 'react';

import { useConfigured } from './configured';
import { ConnectorForm } from './ConnectorForm';
import { Act, Dialog, Grid, Loading, Page, Row, useActions, Word } from './frame';
import type { Connector, Finding } from './model';
import { request } from './rest';

type Tested = { name: string; good: boolean; findings: Finding[] };

export function Connectors() {
    const [editing, setEditing] = useState<Connector | 'new' | null>(null);
    const [removing, setRemoving] = useState<string | null>(null);
    const [tested, setTested] = useState<Tested | null>(null);
    const { trouble, done, run } = useActions();
    const { connectors, shipped, load } = useConfigured(run);

    const path = (name: string) => `connectors/${encodeURIComponent(name)}`;
    const test = async (name: string) => {
        setTested(null);
        await run(async () => {
            const found = await request<Omit<Tested, 'name'>>('POST', `${path(name)}/test`);
            setTested({ name, ...found });
            return found.good ? `${name}: the service is reachable and issues a token.` : undefined;
        });
    };
    const remove = (name: string) =>
        run(async () => {
            await request('DELETE', path(name)).finally(() => setRemoving(null));
            setTested(null);
            await load();
            return `${name} and its secret were removed. Queued batches stay in the outbox.`;
        });
    const saved = (name: string, nextStep: string) =>
        run(async () => {
            setEditing(null);
            await load();
            return `${name} was saved. ${nextStep}`.trim();
        });

    if (editing)
        return (
            <Page
                title={editing === 'new' ? 'New connector' : `Connector ${editing.name}`}
                about="The job ID is on the Finish page of the wizard in Purview. The other two IDs are in Entra ID."
                trouble={null}
                done=""
            >
                <ConnectorForm
                    before={editing === 'new' ? null : editing}
                    shipped={shipped}
                    onSaved={saved}
                    onCancel={() => setEditing(null)}
                />
            </Page>
        );
    return (
        <Page
            title="Connectors"
            about="Each connector here is one “Insider Risk Indicators” connector in Microsoft Purview."
            trouble={trouble}
            done={done}
        >
            <Row>
                <Button appearance="primary" label="New connector" onClick={() => setEditing('new')} />
            </Row>
            {!connectors && !trouble && <Loading />}
            {connectors?.length === 0 && (
                <Paragraph>There are no connectors yet. The sender starts within a minute of saving the first one.</Paragraph>
            )}
            {connectors && connectors.length > 0 && (
                <Grid
                    caption="Connectors"
                    header={['Name', 'Profile', 'Cloud', 'Secret', 'Status', '']}
                    rows={connectors.map((connector) => ({
                        key: connector.name,
                        cells: [
                            connector.name,
                            connector.profile ?? (connector.profile_yaml ? 'custom' : ''),
                            connector.emulator ? 'emulator' : (connector.cloud ?? 'as in the profile'),
                            connector.secret_saved ? 'saved' : 'missing',
                            <Status key="status" connector={connector} />,
                            <Actions
                                key="actions"
                                name={connector.name}
                                onEdit={() => setEditing(connector)}
                                onTest={() => test(connector.name)}
                                onRemove={() => setRemoving(connector.name)}
                            />,
                        ],
                    }))}
                />
            )}
            {tested && <Findings tested={tested} />}
            {removing && (
                <Dialog
                    title={`Remove ${removing}?`}
                    action="Remove"
                    destructive
                    onAct={() => remove(removing)}
                    onClose={() => setRemoving(null)}
                >
                    <Paragraph>
                        Its settings and its secret are deleted, and searches that use it will fail. Queued batches
                        stay on disk. They are sent when a connector with the same job ID exists again.
                    </Paragraph>
                </Dialog>
            )}
        </Page>
    );
}

function Status({ connector }: { connector: Connector }) {
    if (connector.trouble) return <Message type="error">{connector.trouble}</Message>;
    if (connector.disabled) return <Word>disabled</Word>;
    if (!connector.secret_saved) return <Word appearance="warning">needs a secret</Word>;
    return <Word appearance="success">ready</Word>;
}

function Actions(props: {
    name: string;
    onEdit: () => void;
    onTest: () => Promise<unknown>;
    onRemove: () => void;
}) {
    const { name } = props;
    return (
        <Row>
            <Button label="Edit" aria-label={`Edit ${name}`} onClick={props.onEdit} />
            <Act label="Test" aria-label={`Test ${name}`} onAct={props.onTest} />
            <Button label="Remove" aria-label={`Remove ${name}`} onClick={props.onRemove} />
        </Row>
    );
}

/** The results of a test: each check with its grade and next step. */
function Findings({ tested }: { tested: Tested }) {
    const grades = { good: 'success', note: 'info', bad: 'error' } as const;
    return (
        <section aria-label={`Test of ${tested.name}`}>
            <Heading level={2}>
                Test of {tested.name}: {tested.good ? 'passed' : 'failed'}
            </Heading>
            <Grid
                caption={`Results of the test of ${tested.name}`}
                header={['Check', 'Grade', 'Result', 'Next step']}
                rows={tested.findings.map((finding, index) => ({
                    key: String(index),
                    cells: [
                        finding.check,
                        <Word key="grade" appearance={grades[finding.grade]}>
                            {finding.grade}
                        </Word>,
                        finding.found,
                        finding.next_step,
                    ],
                }))}
            />
        </section>
    );
}

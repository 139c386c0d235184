/** Edit a profile: checked while you type, with a preview of a pasted sample. */
import Button from '@splunk/react-ui/Button';
import Heading from '@splunk/react-ui/Heading';
import Link from '@splunk/react-ui/Link';
import Message from '@splunk/react-ui/Message';
import Paragraph from '@splunk/react-ui/Paragraph';
import Select from '@splunk/react-ui/Select';
import TextArea from '@splunk/react-ui/TextArea';
import { useEffect, useState } from 'react';
import styled from 'styled-components';

import { useConfigured } from './configured';
import { Act, Field, Grid, Loading, Page, Row, rows, useActions } from './frame';
import type { Checked, Limit } from './model';
import { request } from './rest';

/** Milliseconds without a keystroke before the text is checked. */
const PAUSE = 400;

const Columns = styled.div`
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
    gap: 20px;

    textarea {
        font-family: monospace;
    }
`;

export function Profiles() {
    const [connector, setConnector] = useState('');
    const [text, setText] = useState('');
    const [sample, setSample] = useState('');
    const [checked, setChecked] = useState<Checked | null>(null);
    const { trouble, done, run } = useActions();
    const { connectors, shipped, limits, load } = useConfigured(run);

    useEffect(() => {
        if (!text.trim()) {
            setChecked(null);
            return undefined;
        }
        let current = true;
        const timer = setTimeout(() => {
            run(async () => {
                const found = await request<Checked>('POST', 'profiles/check', { profile_yaml: text, sample });
                // Ignore the reply if the text has changed in the meantime.
                if (current) setChecked(found);
            });
        }, PAUSE);
        return () => {
            current = false;
            clearTimeout(timer);
        };
    }, [text, sample, run]);

    const choose = (name: string) => {
        const found = connectors?.find((one) => one.name === name);
        setConnector(name);
        setText(found?.profile_yaml ?? shipped.find((one) => one.name === found?.profile)?.text ?? '');
    };
    const save = () =>
        run(async () => {
            const form = { profile: '', profile_yaml: text };
            await request('POST', `connectors/${encodeURIComponent(connector)}`, form);
            await load();
            return `The profile of ${connector} was saved. The next search uses it.`;
        });

    return (
        <Page
            title="Profiles"
            about="A profile defines the columns that a connector gets: their fields, types and formats."
            trouble={trouble}
            done={done}
        >
            {!connectors && !trouble && <Loading />}
            <Limits limits={limits} />
            <Row>
                <Link to="thresholds">How many people each threshold of an indicator would bring, and which ones to start with</Link>
            </Row>
            <Columns>
                <div>
                    <Field label="Connector" help="The connector whose profile you edit.">
                        <Select
                            value={connector}
                            placeholder="Choose a connector"
                            onChange={(_, data) => choose(String(data.value))}
                        >
                            {connectors?.map(({ name }) => (
                                <Select.Option key={name} value={name} label={name} />
                            ))}
                        </Select>
                    </Field>
                    <Field label="Start from a shipped profile">
                        <Row>
                            {shipped.map((one) => (
                                <Button key={one.name} label={one.name} onClick={() => setText(one.text)} />
                            ))}
                        </Row>
                    </Field>
                    <Field label="Profile (YAML)" help="The IDs and the secret are settings of the connector, not part of this text.">
                        <TextArea
                            value={text}
                            rowsMin={20}
                            rowsMax={30}
                            spellCheck={false}
                            onChange={(_, data) => setText(data.value)}
                        />
                    </Field>
                    <CheckResult checked={checked} />
                    <Row>
                        <Act
                            appearance="primary"
                            label="Save"
                            disabled={(!checked?.good || !connector) && 'dimmed'}
                            onAct={save}
                        />
                    </Row>
                </div>
                <div>
                    <Field
                        label="Sample"
                        help="CSV with a header, or JSON lines, at most 64 KiB. The preview is not saved, queued or sent."
                    >
                        <TextArea
                            value={sample}
                            rowsMin={8}
                            rowsMax={12}
                            spellCheck={false}
                            onChange={(_, data) => setSample(data.value)}
                        />
                    </Field>
                    {checked?.preview && <Preview preview={checked.preview} />}
                    {checked?.good && !checked.preview && <ColumnList checked={checked} />}
                </div>
            </Columns>
        </Page>
    );
}

/** What comes near to or passes a published limit. */
function Limits({ limits }: { limits: Limit[] }) {
    return limits.map(({ text, passed }) => (
        <Message key={text} type={passed ? 'warning' : 'info'}>
            {text}
        </Message>
    ));
}

/** The result of the check; screen readers announce changes. */
function CheckResult({ checked }: { checked: Checked | null }) {
    const wrong = checked?.trouble;
    return (
        <div role="status">
            {checked?.good && <Message type="success">The profile is valid.</Message>}
            <Limits limits={checked?.limits ?? []} />
            {wrong && (
                <Message type="error">
                    {wrong.where && `${wrong.where}: `}
                    {wrong.error}. {wrong.next_step}
                </Message>
            )}
        </div>
    );
}

function ColumnList({ checked }: { checked: Checked }) {
    return (
        <>
            <Heading level={2}>Columns</Heading>
            <Grid
                caption="Columns"
                header={['Column', 'Input field', 'Type', 'Role']}
                rows={checked.columns.map((one) => ({
                    key: one.header,
                    cells: [one.header, one.field, one.type, one.role],
                }))}
            />
        </>
    );
}

/** The sample as it would be sent, and the rows that would be refused. */
function Preview({ preview }: { preview: NonNullable<Checked['preview']> }) {
    const { counts } = preview;
    return (
        <>
            <Heading level={2}>Preview</Heading>
            <Paragraph role="status">
                {rows(counts.read)} read: {counts.shaped} shaped, {counts.merged} merged, {counts.rejected} refused.
            </Paragraph>
            <Grid
                caption="Shaped rows"
                header={preview.header}
                rows={preview.rows.map((cells, index) => ({ key: String(index), cells }))}
            />
            {preview.refused.length > 0 && (
                <>
                    <Heading level={2}>Refused rows</Heading>
                    <Grid
                        caption="Refused rows"
                        header={['Line', 'Column', 'Reason', 'Next step']}
                        rows={preview.refused.map((row, index) => ({
                            key: String(index),
                            cells: [row.line, row.column, row.reason, row.advice],
                        }))}
                    />
                </>
            )}
        </>
    );
}

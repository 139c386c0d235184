/** The settings of one connector. The secret is write-only: an empty field keeps the saved one. */
import Button from '@splunk/react-ui/Button';
import CollapsiblePanel from '@splunk/react-ui/CollapsiblePanel';
import Select from '@splunk/react-ui/Select';
import Text from '@splunk/react-ui/Text';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import styled from 'styled-components';

import { Field, pending, Row, Trouble } from './frame';
import type { Connector, Shipped } from './model';
import { Refused, request, type Form } from './rest';

type Saved = { next_step?: string };
type Setting = { key: keyof Connector; label: string; help?: string };

const IDS: Setting[] = [
    { key: 'job_id', label: 'Job ID', help: 'A GUID, from the Finish page of the connector wizard.' },
    { key: 'tenant_id', label: 'Tenant ID', help: 'The directory ID, a GUID, from the overview page in Entra ID.' },
    { key: 'app_id', label: 'Application ID', help: 'A GUID: the application that the connector was created with.' },
];
const NETWORK: Setting[] = [
    { key: 'proxy', label: 'Proxy (optional)', help: 'http://host:port, without a user name.' },
    { key: 'ca_file', label: 'CA file (optional)', help: 'A PEM file on this search head, needed if your network inspects TLS.' },
];
const EMULATOR: Setting[] = [
    { key: 'emulator', label: 'Emulator address', help: 'https:// and a loopback address.' },
    { key: 'emulator_ca', label: 'Emulator CA file' },
];
const CUSTOM = '(custom)';
const CHOICES: Record<string, [string, string][]> = {
    cloud: [
        ['', 'As in the profile'],
        ['commercial', 'Commercial'],
        ['gcc', 'GCC'],
        ['gcc-high', 'GCC High'],
        ['dod', 'DoD'],
    ],
    in_doubt: [
        ['', 'As in the profile'],
        ['hold', 'Hold it for a decision'],
        ['resend', 'Send it again'],
    ],
    outbox: [
        ['', 'Shared by the members of a search head cluster'],
        ['directory', 'On each search head alone'],
        ['cluster', 'In KV store, whatever Splunk says of the search head'],
    ],
    disabled: [
        ['0', 'Enabled'],
        ['1', 'Disabled'],
    ],
};

const Fields = styled.form`
    max-width: 720px;
`;

function settings(before: Connector | null): Form {
    const form: Form = { name: before?.name ?? '', secret: '', disabled: before?.disabled ? '1' : '0' };
    for (const { key } of [...IDS, ...NETWORK, ...EMULATOR]) form[key] = String(before?.[key] ?? '');
    form.cloud = before?.cloud ?? '';
    form.in_doubt = before?.in_doubt ?? '';
    form.outbox = before?.outbox ?? '';
    form.profile = before?.profile_yaml ? CUSTOM : (before?.profile ?? 'leaver-prediction');
    return form;
}

export function ConnectorForm(props: {
    before: Connector | null;
    shipped: Shipped[];
    onSaved: (name: string, nextStep: string) => void;
    onCancel: () => void;
}) {
    const { before } = props;
    const [form, setForm] = useState(() => settings(before));
    const [trouble, setTrouble] = useState<unknown>(null);
    const [busy, setBusy] = useState(false);
    const [emulated, setEmulated] = useState(Boolean(form.emulator));
    const fields = useRef<HTMLFormElement>(null);
    // An error about a field of this form is shown there, any other above the form.
    const field = trouble instanceof Refused && trouble.field in form ? trouble.field : '';
    const error = (key: string) => key === field && `${(trouble as Refused).what}. ${(trouble as Refused).nextStep}`;
    useEffect(() => {
        const control = `[data-field="${field}"] :is(input, button)`;
        if (field) fields.current?.querySelector<HTMLElement>(control)?.focus();
        else if (trouble) fields.current?.scrollIntoView();
    }, [field, trouble]);
    const set = (key: string, value: string) => setForm((now) => ({ ...now, [key]: value }));

    const save = async (event: FormEvent) => {
        event.preventDefault();
        const { name, ...rest } = form;
        const content: Form = { ...rest };
        if (!content.secret) delete content.secret;
        // A connector has either; a custom profile is edited on the Profiles page.
        if (content.profile === CUSTOM) delete content.profile;
        else if (before?.profile_yaml) content.profile_yaml = '';
        if (!before) for (const key of Object.keys(content)) if (!content[key]) delete content[key];
        setBusy(true);
        try {
            const reply = before
                ? await request<Saved>('POST', `connectors/${encodeURIComponent(name)}`, content)
                : await request<Saved>('POST', 'connectors', { name, ...content });
            props.onSaved(name, reply.next_step ?? '');
        } catch (error) {
            setTrouble(error);
            if (error instanceof Refused && EMULATOR.some(({ key }) => key === error.field)) setEmulated(true);
            setBusy(false);
        }
    };
    const text = ({ key, label, help }: Setting) => (
        <Field key={key} data-field={key} label={label} help={help} error={error(key)}>
            <Text
                name={key}
                value={form[key]}
                error={key === field}
                onChange={(_, data) => set(key, data.value)}
                autoComplete="off"
            />
        </Field>
    );
    const choice = (key: string, label: string, options: [string, string][], help?: string) => (
        <Field data-field={key} label={label} help={help} error={error(key)}>
            <Select error={key === field} value={form[key]} onChange={(_, data) => set(key, String(data.value))}>
                {options.map(([value, shown]) => (
                    <Select.Option key={value} value={value} label={shown} />
                ))}
            </Select>
        </Field>
    );
    const profiles: [string, string][] = props.shipped.map(({ name }) => [name, name]);
    if (before?.profile_yaml) profiles.push([CUSTOM, 'Custom']);

    return (
        <Fields onSubmit={save} noValidate ref={fields}>
            {!field && <Trouble error={trouble} />}
            {!before &&
                text({ key: 'name', label: 'Name', help: 'a-z, 0-9 and hyphens. Searches use it as profile=<name>.' })}
            {choice('profile', 'Profile', profiles, 'The columns that are sent, and how. The Profiles page edits a copy.')}
            {IDS.map(text)}
            {choice('cloud', 'Cloud', CHOICES.cloud)}
            <Field
                data-field="secret"
                label="Client secret"
                error={error('secret')}
                help={
                    before?.secret_saved
                        ? 'A secret is saved. Leave this empty to keep it; a new one replaces it at once.'
                        : "The secret's value, not its ID. It is saved in storage/passwords and never shown again."
                }
            >
                <Text
                    name="secret"
                    type="password"
                    error={field === 'secret'}
                    value={form.secret}
                    onChange={(_, data) => set('secret', data.value)}
                    autoComplete="new-password"
                />
            </Field>
            {NETWORK.map(text)}
            {choice('in_doubt', 'If it is unknown whether the service kept a batch', CHOICES.in_doubt)}
            {choice('outbox', 'Queue', CHOICES.outbox)}
            {before && choice('disabled', 'Status', CHOICES.disabled)}
            <CollapsiblePanel
                title="Test with a local emulator"
                open={emulated}
                onChange={(_, data) => setEmulated(data.action === 'open')}
            >
                {EMULATOR.map(text)}
            </CollapsiblePanel>
            <Row>
                <Button label="Cancel" onClick={props.onCancel} />
                <Button appearance="primary" label="Save" type="submit" {...pending(busy)} />
            </Row>
        </Fields>
    );
}

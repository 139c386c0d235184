/** The decisions about a batch, and the dialog that asks for one with its reason. */
import Paragraph from '@splunk/react-ui/Paragraph';
import RadioList from '@splunk/react-ui/RadioList';
import TextArea from '@splunk/react-ui/TextArea';
import { useState } from 'react';

import texts from '../../bin/irmsplunk/splunk/next_steps.json';
import { Dialog, Field, rows, Trouble } from './frame';
import { request, requestRelease, type Form } from './rest';

/** What is posted for a batch, and what it means. */
export type Decision = {
    value: string;
    post: (id: string, why: string) => Promise<unknown>;
    label: string;
    meaning: string;
    destructive?: boolean;
    /** What was done, if it is not the label. */
    done?: string;
};

const post =
    (path: string, form: Form = {}) =>
    (id: string, why: string) =>
        request('POST', `batches/${id}/${path}`, { ...form, why });
const postRelease = (outcome: string) => (id: string, why: string) =>
    requestRelease('POST', `batches/${id}`, { outcome, why });

export const DECISIONS = {
    sent: {
        value: 'sent',
        post: post('resolve', { outcome: 'sent' }),
        label: texts.labels.sent,
        meaning: "The connector's log in the portal counts these rows (RecordsSaved). Nothing is sent again.",
    },
    resend: {
        value: 'resend',
        post: post('resolve', { outcome: 'resend' }),
        label: texts.labels.resend,
        meaning: 'The log does not count these rows. If it does after all, the service gets them twice.',
    },
    requeue: {
        value: 'requeue',
        post: post('requeue'),
        label: texts.labels.requeue,
        meaning: 'The reason why the service refused the batch has been fixed.',
    },
    withdraw: {
        value: 'withdraw',
        post: post('resolve', { outcome: 'withdraw' }),
        label: texts.labels.withdraw,
        meaning: 'The rows count as never sent, so the next search can send them again.',
        destructive: true,
    },
    release: {
        value: 'release',
        post: postRelease('release'),
        label: texts.labels.release,
        meaning: 'The sender sends these rows.',
        done: 'released',
    },
    reject: {
        value: 'reject',
        post: postRelease('reject'),
        label: texts.labels.reject,
        meaning: 'These rows are not sent. They count as new again, so the next search can propose them again.',
        destructive: true,
        done: 'rejected',
    },
} satisfies Record<string, Decision>;

/** A person's decision about a batch, with the reason for the audit record. A single decision is chosen already. */
export function Decide(props: {
    verb: string;
    batch: { id: string; rows: number };
    decisions: Decision[];
    action: string;
    /** What to know or to do before deciding. */
    hint: string;
    onClose: () => void;
    onDone: (id: string, decision: Decision) => void;
}) {
    const { batch, decisions } = props;
    const [value, setValue] = useState(decisions.length === 1 ? decisions[0].value : '');
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
            await chosen.post(batch.id, why);
            props.onDone(batch.id, chosen);
        } catch (error) {
            setTrouble(error);
        }
    };
    return (
        <Dialog
            title={`${props.verb} ${batch.id.slice(0, 12)} (${rows(batch.rows)})`}
            action={props.action}
            destructive={chosen?.destructive}
            onAct={act}
            onClose={props.onClose}
        >
            <Trouble error={trouble} />
            <Paragraph>{props.hint}</Paragraph>
            {decisions.length > 1 && (
                <Field label="Decision" required error={missing && !chosen && 'Choose one.'}>
                    <RadioList value={value} onChange={(_, data) => setValue(String(data.value))}>
                        {decisions.map(({ value, label, meaning }) => (
                            <RadioList.Option key={value} value={value} description={meaning}>
                                {label}
                            </RadioList.Option>
                        ))}
                    </RadioList>
                </Field>
            )}
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

/** What all pages share: layout, errors, status messages for screen readers, tables and a dialog. */
import Button from '@splunk/react-ui/Button';
import Chip from '@splunk/react-ui/Chip';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Modal from '@splunk/react-ui/Modal';
import Paragraph from '@splunk/react-ui/Paragraph';
import ScreenReaderContent from '@splunk/react-ui/ScreenReaderContent';
import Table from '@splunk/react-ui/Table';
import variables from '@splunk/themes/variables';
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import styled, { createGlobalStyle } from 'styled-components';

import { Refused } from './rest';
import { onPage } from './steps';

const Backdrop = createGlobalStyle`
    body {
        background: ${variables.backgroundColorPage};
    }
`;

const Main = styled.main`
    padding: 20px;
    background: ${variables.backgroundColorPage};
    color: ${variables.contentColorDefault};
    font-family: ${variables.sansFontFamily};
`;

export const Row = styled.div`
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    align-items: center;
    margin: 12px 0;

    td & {
        margin: 0;
        flex-wrap: nowrap;
    }
`;

// A column is at least as wide as its longest word; the table scrolls if that is too wide.
const WholeWords = styled.div`
    && td,
    && td *,
    && th,
    && th * {
        overflow-wrap: break-word;
        word-break: normal;
    }
`;

/** A status in one word, never broken, however narrow its column is. */
export function Word(props: { appearance?: 'success' | 'warning' | 'error' | 'info'; children: string }) {
    return <Chip style={{ minWidth: 'max-content' }} {...props} />;
}

/** A page: its title and purpose, then an error if there is one, then the content. */
export function Page(props: { title: string; about: string; trouble: unknown; done: string; children: ReactNode }) {
    return (
        <Main>
            <Backdrop />
            <Heading level={1} tabIndex={-1}>
                {props.title}
            </Heading>
            <Paragraph>{props.about}</Paragraph>
            <Trouble error={props.trouble} />
            <div role="status">
                {props.done && (
                    <Message appearance="fill" type="success">
                        {props.done}
                    </Message>
                )}
            </div>
            {props.children}
        </Main>
    );
}

/** An error: what, where, and the next step. Screen readers announce it at once. */
export function Trouble({ error }: { error: unknown }) {
    if (!error) return null;
    const refused = error instanceof Refused ? error : new Refused(0, String(error), '', 'Reload the page.');
    return (
        <div role="alert">
            <Message appearance="fill" type="error">
                <Message.Title>
                    {refused.what}
                    {refused.where && ` (${refused.where})`}
                </Message.Title>
                {onPage(refused.nextStep)}
            </Message>
        </div>
    );
}

/** The outcome of the last action: `run` runs one and keeps its error, or the message that it returns. */
export function useActions() {
    const [trouble, setTrouble] = useState<unknown>(null);
    const [done, setDone] = useState('');
    const run = useCallback(async (action: () => Promise<string | void>) => {
        setDone('');
        try {
            const message = await action();
            setTrouble(null);
            setDone(message ?? '');
            return true;
        } catch (error) {
            setTrouble(error);
            return false;
        }
    }, []);
    return { trouble, done, run };
}

/** A dialog with one action and a way to cancel. Escape closes it; the focus returns to what opened it. */
export function Dialog(props: {
    title: string;
    action: string;
    destructive?: boolean;
    onAct?: () => void;
    onClose: () => void;
    children: ReactNode;
}) {
    const opener = useRef(document.activeElement as HTMLElement | null);
    useEffect(() => {
        const before = opener.current;
        // After the modal has released the focus. The element that opened it may be gone by then.
        return () => {
            setTimeout(() => (before?.isConnected ? before : document.querySelector('h1'))?.focus());
        };
    }, []);
    return (
        <Modal open onRequestClose={props.onClose} returnFocus={opener} style={{ width: 640 }}>
            <Modal.Header title={props.title} />
            <Modal.Body>{props.children}</Modal.Body>
            <Modal.Footer>
                <Button label={props.onAct ? 'Cancel' : 'Close'} onClick={props.onClose} />
                {props.onAct && (
                    <Button
                        appearance={props.destructive ? 'destructive' : 'primary'}
                        label={props.action}
                        onClick={props.onAct}
                    />
                )}
            </Modal.Footer>
        </Modal>
    );
}

/** A table of texts and controls. `caption` names it for screen readers. */
export function Grid(props: { caption: string; header: string[]; rows: { key: string; cells: ReactNode[] }[] }) {
    return (
        <WholeWords>
            <Table stripeRows headType="inline">
                <Table.Caption>
                    <ScreenReaderContent>{props.caption}</ScreenReaderContent>
                </Table.Caption>
                <Table.Head>
                    {props.header.map((name, index) => (
                        <Table.HeadCell key={index} truncate={false}>
                            {name || <ScreenReaderContent>Actions</ScreenReaderContent>}
                        </Table.HeadCell>
                    ))}
                </Table.Head>
                <Table.Body>
                    {props.rows.map((row) => (
                        <Table.Row key={row.key}>
                            {row.cells.map((cell, index) => (
                                <Table.Cell key={index}>{cell}</Table.Cell>
                            ))}
                        </Table.Row>
                    ))}
                </Table.Body>
            </Table>
        </WholeWords>
    );
}

/** A time in the reader's time zone; empty for 0. */
export function time(seconds: number): string {
    return seconds ? new Date(seconds * 1000).toLocaleString() : '';
}

export function rows(count: number): string {
    return `${count.toLocaleString('en-US')} ${count === 1 ? 'row' : 'rows'}`;
}

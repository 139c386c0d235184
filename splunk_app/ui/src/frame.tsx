/** What all pages share: layout, errors, status messages for screen readers, tables and a dialog. */
import Button from '@splunk/react-ui/Button';
import Chip from '@splunk/react-ui/Chip';
import ControlGroup from '@splunk/react-ui/ControlGroup';
import Heading from '@splunk/react-ui/Heading';
import Message from '@splunk/react-ui/Message';
import Modal from '@splunk/react-ui/Modal';
import Paragraph from '@splunk/react-ui/Paragraph';
import ScreenReaderContent from '@splunk/react-ui/ScreenReaderContent';
import Table from '@splunk/react-ui/Table';
import WaitSpinner from '@splunk/react-ui/WaitSpinner';
import variables from '@splunk/themes/variables';
import {
    type ComponentProps,
    createContext,
    type ReactNode,
    useCallback,
    useContext,
    useEffect,
    useLayoutEffect,
    useRef,
    useState,
} from 'react';
import styled, { createGlobalStyle } from 'styled-components';

import { Refused } from './rest';

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

    @media (max-width: 600px) {
        padding: 12px;
    }
`;

/** Whether a dashboard surrounds the page. Its own `main` contains the page then. */
export const InDashboard = createContext(false);

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

const Cards = styled.ul`
    list-style: none;
    margin: 0;
    padding: 0;

    > li {
        padding: 12px 0;
        border-top: 1px solid ${variables.borderColor};
        overflow-wrap: anywhere;
    }

    > li > div {
        display: flex;
        align-items: baseline;
        gap: 6px;
        margin: 4px 0;
    }

    b {
        flex: none;
    }
`;

/** A status in one word, never broken, however narrow its column is. */
export function Word(props: { appearance?: 'success' | 'warning' | 'error' | 'info'; children: string }) {
    return <Chip style={{ minWidth: 'max-content' }} {...props} />;
}

/** Whether the window is too narrow for a table, or for a label beside its field. */
function useNarrow(): boolean {
    const [query] = useState(() => window.matchMedia('(max-width: 600px)'));
    const [narrow, setNarrow] = useState(query.matches);
    useEffect(() => {
        const changed = () => setNarrow(query.matches);
        query.addEventListener('change', changed);
        return () => query.removeEventListener('change', changed);
    }, [query]);
    return narrow;
}

/** A control with its label and help; `error` is shown below it. */
export function Field(props: ComponentProps<typeof ControlGroup>) {
    return <ControlGroup labelPosition={useNarrow() ? 'top' : 'left'} {...props} />;
}

/** What a page shows until the server has answered. */
export function Loading() {
    return (
        <Row role="status">
            <WaitSpinner size="medium" screenReaderText={null} /> Loading…
        </Row>
    );
}

/** A button that shows that its action is not complete, and takes no click until then. */
export function Act({ onAct, ...button }: { onAct: () => Promise<unknown> } & ComponentProps<typeof Button>) {
    const [busy, setBusy] = useState(false);
    const act = async () => {
        setBusy(true);
        await onAct();
        setBusy(false);
    };
    return <Button onClick={act} {...button} {...pending(busy)} />;
}

/** The properties of a button whose action is not complete. */
export function pending(busy: boolean) {
    if (!busy) return {};
    return { disabled: 'dimmed' as const, 'aria-busy': true, icon: <WaitSpinner screenReaderText={null} /> };
}

/** A page: its title and purpose, then an error if there is one, then the content. */
export function Page(props: { title: string; about: string; trouble: unknown; done: string; children: ReactNode }) {
    return (
        <Main as={useContext(InDashboard) ? 'div' : 'main'}>
            <Backdrop />
            <Heading level={1} tabIndex={-1}>
                {props.title}
            </Heading>
            {props.about && <Paragraph>{props.about}</Paragraph>}
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
                {refused.nextStep}
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
    onAct?: () => Promise<unknown>;
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
        <Modal open onRequestClose={props.onClose} returnFocus={opener} style={{ width: 640, maxWidth: 'calc(100vw - 20px)' }}>
            <Modal.Header title={props.title} />
            <Modal.Body>{props.children}</Modal.Body>
            <Modal.Footer>
                <Button label={props.onAct ? 'Cancel' : 'Close'} onClick={props.onClose} />
                {props.onAct && (
                    <Act
                        appearance={props.destructive ? 'destructive' : 'primary'}
                        label={props.action}
                        onAct={props.onAct}
                    />
                )}
            </Modal.Footer>
        </Modal>
    );
}

/** A place for a table. While the table is wider, it takes the focus, so that the arrow keys scroll it. */
function Scrollable({ children }: { children: ReactNode }) {
    const place = useRef<HTMLDivElement>(null);
    useLayoutEffect(() => {
        const container = place.current?.querySelector<HTMLElement>('[data-test="scroll-container"]');
        if (!container) return;
        const update = () => {
            if (container.scrollWidth > container.clientWidth) container.tabIndex = 0;
            else container.removeAttribute('tabindex');
        };
        update();
        const observer = new ResizeObserver(update);
        for (const element of [container, ...container.children]) observer.observe(element);
        return () => observer.disconnect();
    }, []);
    return <WholeWords ref={place}>{children}</WholeWords>;
}

/** A table of texts and controls, in a narrow window a list. `caption` names it for screen readers. */
export function Grid(props: { caption: string; header: string[]; rows: { key: string; cells: ReactNode[] }[] }) {
    if (useNarrow())
        return (
            <Cards aria-label={props.caption}>
                {props.rows.map((row) => (
                    <li key={row.key}>
                        {row.cells.map((cell, index) => (
                            <div key={index}>
                                {props.header[index] && <b>{props.header[index]}: </b>}
                                {cell}
                            </div>
                        ))}
                    </li>
                ))}
            </Cards>
        );
    return (
        <Scrollable>
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
        </Scrollable>
    );
}

/** A time in the reader's time zone; empty for 0. */
export function time(seconds: number): string {
    return seconds ? new Date(seconds * 1000).toLocaleString() : '';
}

export function rows(count: number): string {
    return `${count.toLocaleString('en-US')} ${count === 1 ? 'row' : 'rows'}`;
}

/**
 * The app's REST endpoints through Splunk Web, with the session's cookie and form key.
 * The server authorizes each request; the pages only show its replies.
 */
import { getDefaultFetchInit } from '@splunk/splunk-utils/fetch';
import { createRESTURL } from '@splunk/splunk-utils/url';

/** The capabilities that the endpoints `irmexport` and `release_irmexport` require. */
export const CONFIGURE = 'irmexport_configure';
export const RELEASE = 'irmexport_release';

export type Form = Record<string, string>;

/** A refused request: what, where, and the next step. */
export class Refused extends Error {
    constructor(
        readonly status: number,
        readonly what: string,
        readonly where: string,
        readonly nextStep: string,
        /** The field of the form that was refused; empty if it was none. */
        readonly field = '',
    ) {
        super(what);
    }
}

/** The reply to a request to `irmexport/…`. Throws Refused. */
export async function request<T>(method: 'GET' | 'POST' | 'DELETE', path: string, form?: Form): Promise<T> {
    return send<T>(method, address('irmexport', path), form);
}

/** The reply to a request to `release_irmexport/…`. Throws Refused. */
export async function requestRelease<T>(method: 'GET' | 'POST', path: string, form?: Form): Promise<T> {
    return send<T>(method, address('release_irmexport', path), form);
}

function address(endpoint: string, path: string): string {
    return createRESTURL(`${endpoint}/${path}`, { app: 'irmexport', owner: 'nobody' });
}

/** The signed-in user's capabilities, as the server reports them. Throws Refused. */
export async function capabilities(): Promise<string[]> {
    type Context = { entry: { content: { capabilities: string[] } }[] };
    const found = await send<Context>('GET', createRESTURL('authentication/current-context'));
    return found.entry[0]?.content.capabilities ?? [];
}

async function send<T>(method: string, url: string, form?: Form): Promise<T> {
    const init = { ...getDefaultFetchInit(), method, body: form && new URLSearchParams(form).toString() };
    let reply: Response;
    try {
        // With `pages`, the next steps name the buttons of the pages.
        reply = await fetch(`${url}?output_mode=json&pages=1`, init);
    } catch {
        throw new Refused(0, 'Splunk does not answer', '', 'Check that Splunk is running, then try again.');
    }
    const document = await reply.json().catch(() => ({}));
    if (!reply.ok) {
        const text = document.error ?? document.messages?.[0]?.text ?? `Splunk answered with HTTP ${reply.status}`;
        const signIn = reply.status === 401 ? 'Sign in to Splunk again, then reload this page.' : '';
        const { where, next_step, field } = document;
        throw new Refused(reply.status, text, where ?? '', next_step ?? signIn, field);
    }
    return document as T;
}

/**
 * The app's REST endpoint, by way of Splunk Web: the session's cookie and its form key go along.
 * The server decides who may what; the page only shows what it says.
 */
import { getDefaultFetchInit } from '@splunk/splunk-utils/fetch';
import { createRESTURL } from '@splunk/splunk-utils/url';

export type Form = Record<string, string>;

/** What the server says no with: what, where, and what to do. */
export class Refused extends Error {
    constructor(
        readonly status: number,
        readonly what: string,
        readonly where: string,
        readonly nextStep: string,
    ) {
        super(what);
    }
}

/** The reply to a request of `irmexport/…`. Throws Refused. */
export async function ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, form?: Form): Promise<T> {
    return send<T>(method, createRESTURL(`irmexport/${path}`, { app: 'irmexport', owner: 'nobody' }), form);
}

/** What the signed-in user may do, on the server's word. Throws Refused. */
export async function capabilities(): Promise<string[]> {
    type Context = { entry: { content: { capabilities: string[] } }[] };
    const found = await send<Context>('GET', createRESTURL('authentication/current-context'));
    return found.entry[0]?.content.capabilities ?? [];
}

async function send<T>(method: string, url: string, form?: Form): Promise<T> {
    const init = { ...getDefaultFetchInit(), method, body: form && new URLSearchParams(form).toString() };
    let reply: Response;
    try {
        reply = await fetch(`${url}?output_mode=json`, init);
    } catch {
        throw new Refused(0, 'Splunk does not answer', '', 'Look whether this Splunk runs, then try again.');
    }
    const said = await reply.json().catch(() => ({}));
    if (!reply.ok) {
        const text = said.error ?? said.messages?.[0]?.text ?? `Splunk answers with HTTP ${reply.status}`;
        const signIn = reply.status === 401 ? 'Sign in to Splunk again, then reload this page.' : '';
        throw new Refused(reply.status, text, said.where ?? '', said.next_step ?? signIn);
    }
    return said as T;
}

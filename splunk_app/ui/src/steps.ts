/** The endpoint's next steps, which name requests, in a page's terms: its buttons and the other pages. */
import steps from '../../bin/irmsplunk/splunk/next_steps.json';

/** The ways to resolve a batch, as the buttons name them. */
export const LABEL: Record<string, string> = {
    sent: 'The service has it',
    resend: 'Send it again',
    requeue: 'Put it back into the queue',
    withdraw: 'Give it up',
};

const WORDS = steps.pages.map(([request, words]) => [request, words.replace(/\{(\w+)\}/g, (_, key) => LABEL[key])]);

/** A next step in a page's terms. A request is sent, a button is used. */
export function onPage(step: string): string {
    const text = step.replace(/\b([Ss])end (?=`(?:GET|POST) irmexport\/)/g, (_, s) => (s === 'S' ? 'Use ' : 'use '));
    return WORDS.reduce((result, [request, words]) => result.split(request).join(words), text).replace(/,\./g, '.');
}

/** The endpoint's next steps, which name requests, in a page's terms: its buttons and the other pages. */

/** What a person may say of a batch, as the buttons have it. */
export const LABEL = {
    sent: 'The service has it',
    resend: 'Send it again',
    requeue: 'Put it back into the queue',
    withdraw: 'Give it up',
};

const RESOLVE = '`POST irmexport/batches/BATCH/resolve` with ';
const EDIT = '“Edit” on the page Connectors';
/** In this order: the longer words first. */
const SAID: [string, string][] = [
    [`${RESOLVE}outcome=sent or outcome=resend`, `“Resolve”: “${LABEL.sent}” or “${LABEL.resend}”`],
    [`${RESOLVE}outcome=withdraw`, `“Resolve”, “${LABEL.withdraw}”,`],
    [`${RESOLVE}outcome=sent, resend or withdraw`, '“Resolve”'],
    ['`POST irmexport/batches/BATCH/requeue`', `“Resolve”, “${LABEL.requeue}”,`],
    ['`GET irmexport/batches/BATCH`', '“History”'],
    ['`POST irmexport/connectors/NAME/test`', '“Test” on the page Connectors'],
    ['`POST irmexport/connectors/NAME/resume`', '“Resume” on the page Queue'],
    ['`POST irmexport/connectors/NAME` with secret=…', EDIT],
    ['`POST irmexport/connectors/NAME`, secret=…', EDIT],
    ['`POST irmexport/connectors/NAME`', EDIT],
    ['`GET irmexport/queue`', 'the page Queue'],
];

/** A next step as a page says it. */
export function onPage(text: string): string {
    return SAID.reduce((said, [request, words]) => said.split(request).join(words), text).replace(/,\./g, '.');
}

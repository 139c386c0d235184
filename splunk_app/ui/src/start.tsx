/** Shows a page in Splunk Web's layout, in the user's theme. */
import layout from '@splunk/react-page/18';
import { getThemeOptions, getUserTheme } from '@splunk/splunk-utils/themes';
import SplunkThemeProvider from '@splunk/themes/SplunkThemeProvider';
import type { ReactElement } from 'react';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

import { Connectors } from './Connectors';
import { Page } from './frame';
import { Profiles } from './Profiles';
import { Queue } from './Queue';
import { capabilities, Refused } from './rest';

const CAPABILITY = 'irmexport_configure';

const PAGES: Record<string, { title: string; element: ReactElement }> = {
    queue: { title: 'Queue', element: <Queue /> },
    connectors: { title: 'Connectors', element: <Connectors /> },
    profiles: { title: 'Profiles', element: <Profiles /> },
};

/** The page, or a message for users without the capability, whose requests the server refuses anyway. */
function Guarded({ page }: { page: string }) {
    const [may, setMay] = useState<boolean | null>(null);
    const [trouble, setTrouble] = useState<unknown>(null);
    useEffect(() => {
        capabilities().then((found) => setMay(found.includes(CAPABILITY)), setTrouble);
    }, []);
    if (may) return PAGES[page].element;
    const refused =
        may === false
            ? new Refused(
                  403,
                  `This page requires the capability ${CAPABILITY}`,
                  '',
                  'Ask an administrator to grant it to one of your roles.',
              )
            : trouble;
    return (
        <Page title={PAGES[page].title} about={refused ? '' : 'Loading…'} trouble={refused} done="">
            {null}
        </Page>
    );
}

/** Called by the small script of each page; `page` is the view's name. */
export function start(page: string): void {
    const options = { pageTitle: `${PAGES[page].title} | irmexport`, hideFooter: true };
    themed((theme) => layout(<Guarded page={page} />, { ...options, theme }));
}

/** The same without Splunk Web's layout, which the dashboard around the frame already has. */
export function frame(page: string): void {
    if (!(page in PAGES)) return;
    document.title = `${PAGES[page].title} | irmexport`;
    const container = document.createElement('div');
    document.body.style.margin = '0';
    document.body.append(container);
    themed((theme) =>
        createRoot(container).render(
            <SplunkThemeProvider {...getThemeOptions(theme)}>
                <Guarded page={page} />
            </SplunkThemeProvider>,
        ),
    );
}

/** The theme in Splunk Web's order: the user's, the server's, the system's; light if it is unknown. */
function themed(show: (theme: string) => void): void {
    const timeout = new Promise<string>((resolve) => setTimeout(resolve, 3_000, 'light'));
    Promise.race([getUserTheme(), timeout]).then(show, () => show('light'));
}

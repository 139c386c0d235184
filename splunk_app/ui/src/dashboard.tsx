/**
 * Shows the app's pages, in the user's theme. Splunk Web fetches this as text and evaluates it, so it is one
 * classic script: no module, no document.currentScript, and nothing of SplunkJS or jQuery.
 */
import layout from '@splunk/react-page/18';
import { getThemeOptions, getUserTheme } from '@splunk/splunk-utils/themes';
import SplunkThemeProvider from '@splunk/themes/SplunkThemeProvider';
import type { ReactElement } from 'react';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

import { Connectors } from './Connectors';
import { InDashboard, Loading, Page } from './frame';
import { Profiles } from './Profiles';
import { Queue } from './Queue';
import { capabilities, CONFIGURE, Refused, RELEASE } from './rest';

/** `requires` one of these capabilities; `element` shows the page to a user with `capabilities`. */
type Shown = { title: string; requires: string[]; element: (capabilities: string[]) => ReactElement };

const PAGES: Record<string, Shown> = {
    queue: {
        title: 'Queue',
        requires: [CONFIGURE, RELEASE],
        element: (capabilities) => <Queue capabilities={capabilities} />,
    },
    connectors: { title: 'Connectors', requires: [CONFIGURE], element: () => <Connectors /> },
    profiles: { title: 'Profiles', requires: [CONFIGURE], element: () => <Profiles /> },
};

/** The page, or a message for users without a capability for it, whose requests the server refuses anyway. */
function Guarded({ page }: { page: string }) {
    const { title, requires, element } = PAGES[page];
    const [granted, setGranted] = useState<string[] | null>(null);
    const [trouble, setTrouble] = useState<unknown>(null);
    useEffect(() => {
        capabilities().then(setGranted, setTrouble);
    }, []);
    if (granted && requires.some((one) => granted.includes(one))) return element(granted);
    const refused = granted
        ? new Refused(
              403,
              `This page requires the capability ${requires.join(' or ')}`,
              '',
              'Ask an administrator to grant it to one of your roles.',
          )
        : trouble;
    return (
        <Page title={title} about="" trouble={refused} done="">
            {!refused && <Loading />}
        </Page>
    );
}

/** A page of its own, in Splunk Web's layout. `page` is a key of PAGES. */
function start(page: string): void {
    const options = { pageTitle: `${PAGES[page].title} | irmexport`, hideFooter: true };
    themed((theme) => layout(<Guarded page={page} />, { ...options, theme }));
}

/** Shows the page of each `irmexport-…` element of a dashboard, which has Splunk Web's layout already. */
function mount(): void {
    for (const page of Object.keys(PAGES)) {
        const element = document.getElementById(`irmexport-${page}`);
        if (element && !element.dataset.page) {
            element.dataset.page = page;
            element.textContent = '';
            document.title = `${PAGES[page].title} | irmexport`;
            themed((theme) =>
                createRoot(element).render(
                    <SplunkThemeProvider {...getThemeOptions(theme)}>
                        <InDashboard.Provider value>
                            <Guarded page={page} />
                        </InDashboard.Provider>
                    </SplunkThemeProvider>,
                ),
            );
        }
    }
}

/** The theme in Splunk Web's order: the user's, the server's, the system's; light if it is unknown. */
function themed(show: (theme: string) => void): void {
    const timeout = new Promise<string>((resolve) => setTimeout(resolve, 3_000, 'light'));
    Promise.race([getUserTheme(), timeout]).then(show, () => show('light'));
}

declare global {
    interface Window {
        irmexport?: { start: typeof start };
    }
}

// Splunk may evaluate this script twice, and before or after it draws the panels.
if (!window.irmexport) {
    window.irmexport = { start };
    mount();
    new MutationObserver(mount).observe(document.documentElement, { childList: true, subtree: true });
}

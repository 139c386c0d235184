/** What is set up: the connectors, and the profiles that ship with the app. */
import { useCallback, useEffect, useState } from 'react';

import type { Connector, Shipped } from './model';
import { ask } from './rest';

type Run = (action: () => Promise<string | void>) => Promise<boolean>;

/** Both lists, and how to read them again; `connectors` is null until they are known. */
export function useConfigured(run: Run) {
    const [connectors, setConnectors] = useState<Connector[] | null>(null);
    const [shipped, setShipped] = useState<Shipped[]>([]);
    const load = useCallback(async () => {
        const [listed, profiles] = await Promise.all([
            ask<{ connectors: Connector[] }>('GET', 'connectors'),
            ask<{ shipped: Shipped[] }>('GET', 'profiles'),
        ]);
        setConnectors(listed.connectors);
        setShipped(profiles.shipped);
    }, []);
    useEffect(() => {
        run(load);
    }, [load, run]);
    return { connectors, shipped, load };
}

/** The configured connectors, and the profiles that ship with the app. */
import { useCallback, useEffect, useState } from 'react';

import type { Connector, Limit, Shipped } from './model';
import { request } from './rest';

type Run = (action: () => Promise<string | void>) => Promise<boolean>;

/** Both lists, what all connectors together come near to, and a function to reload them. `connectors` is null until they are loaded. */
export function useConfigured(run: Run) {
    const [connectors, setConnectors] = useState<Connector[] | null>(null);
    const [shipped, setShipped] = useState<Shipped[]>([]);
    const [limits, setLimits] = useState<Limit[]>([]);
    const load = useCallback(async () => {
        const [listed, profiles] = await Promise.all([
            request<{ connectors: Connector[]; limits: Limit[] }>('GET', 'connectors'),
            request<{ shipped: Shipped[] }>('GET', 'profiles'),
        ]);
        setConnectors(listed.connectors);
        setLimits(listed.limits);
        setShipped(profiles.shipped);
    }, []);
    useEffect(() => {
        run(load);
    }, [load, run]);
    return { connectors, shipped, limits, load };
}

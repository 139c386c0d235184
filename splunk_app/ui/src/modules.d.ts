// @splunk/react-page ships no types.
declare module '@splunk/react-page/18' {
    import type { ReactElement } from 'react';

    const layout: (element: ReactElement, options: Record<string, unknown>) => void;
    export default layout;
}

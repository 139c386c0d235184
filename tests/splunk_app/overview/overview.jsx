// Draws window.DEFINITION, a dashboard's definition, with Splunk's own packages.
import { DashboardContextProvider } from '@splunk/dashboard-context';
import DashboardCore from '@splunk/dashboard-core';
import preset from '@splunk/dashboard-presets/EnterpriseViewOnlyPreset';
import TestDataSource from '@splunk/datasources/TestDataSource';
import SplunkThemeProvider from '@splunk/themes/SplunkThemeProvider';
import { createRoot } from 'react-dom/client';

const dataSources = { ...preset.dataSources, 'ds.test': TestDataSource };
const root = document.body.appendChild(document.createElement('div'));

createRoot(root).render(
    <SplunkThemeProvider family="enterprise" colorScheme="light" density="comfortable">
        <DashboardContextProvider preset={{ ...preset, dataSources }} initialDefinition={window.DEFINITION}>
            <DashboardCore width="100%" height="1520px" />
        </DashboardContextProvider>
    </SplunkThemeProvider>,
);

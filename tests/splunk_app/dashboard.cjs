// Validates a dashboard's definition from standard input against the schemas of Splunk's own packages.
// Prints a line for each error.
const { readFileSync } = require('node:fs');

const { defaultSchema } = require('@splunk/dashboard-definition');
const schemas = require('@splunk/visualization-schemas');
const Ajv = require('ajv').default;

const definition = JSON.parse(readFileSync(0, 'utf8'));
const ajv = new Ajv({ allErrors: true, strict: false });

function check(what, schema, value) {
    const validate = ajv.compile(schema);
    if (validate(value)) return;
    for (const error of validate.errors) {
        console.log(`${what}${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`);
    }
}

// The schemas are of a Dashboard Studio with tabs. In Splunk 9.3 a dashboard has one layout and no tabs, which newer
// versions still read as a single tab, so it is validated as that.
const { globalInputs, ...layout } = definition.layout;
const tabbed = { tabs: { items: [{ layoutId: 'only' }] }, layoutDefinitions: { only: layout }, globalInputs };
check('definition', defaultSchema, { ...definition, layout: tabbed });
for (const [name, { type, options }] of Object.entries(definition.visualizations)) {
    const known = type.replace('splunk.', '').replace('singlevalue', 'singleValue');
    const properties = schemas[`${known}OptionsSchema`];
    if (!properties) console.log(`${name}: no visualization is called ${type}`);
    else check(name, { type: 'object', properties, additionalProperties: false }, options ?? {});
}

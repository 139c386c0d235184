// Splunk Web's page loads the script of the view's name; the page itself is in app.js, once for all.
import('./app.js').then(({ start }) => start('queue'));

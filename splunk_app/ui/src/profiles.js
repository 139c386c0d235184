// Splunk Web loads the script with the view's name. The code of all pages is in app.js.
import('./app.js').then(({ start }) => start('profiles'));

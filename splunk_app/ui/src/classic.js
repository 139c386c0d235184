// Splunk before 10.4 has no page template for apps, so this does its work inside a frame of a dashboard.
// The view's name follows the # in the address.
const root = window.location.pathname.split('/static/')[0];
const script = document.createElement('script');
script.src = `${root}/config?autoload=1`;
script.onload = () => import('./app.js').then(({ frame }) => frame(window.location.hash.slice(1)));
document.head.append(script);

// For Splunk before 10.4, which has no page of its own for apps: what that page does, inside a frame of
// a dashboard. The address has the view's name behind its #.
const root = window.location.pathname.split('/static/')[0];
const script = document.createElement('script');
script.src = `${root}/config?autoload=1`;
script.onload = () => import('./app.js').then(({ frame }) => frame(window.location.hash.slice(1)));
document.head.append(script);

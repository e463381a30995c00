'use strict';
// Keeps the page up to date. Everything that is shown was written, and escaped, by the server; a
// section that it sends again is laid over the old one, so that what has not changed is not touched.
const $ = (id) => document.getElementById(id);
const live = $('live');
const since = (stamp) => {
  const s = Math.max(0, Math.round((Date.now() - Date.parse(stamp)) / 1000));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
};
const tick = () => {
  for (const time of document.querySelectorAll('time')) {
    time.title = new Date(time.dateTime).toLocaleString();
    const text = since(time.dateTime);
    if (time.textContent !== text) time.textContent = text;
  }
};
const lay = (old, fresh) => {
  if (old.isEqualNode(fresh) || old.nodeName === 'TIME' && old.dateTime === fresh.dateTime) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) { old.data = fresh.data; return; }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [was, is] = [[...old.childNodes], [...fresh.childNodes]];
  is.forEach((node, at) => at < was.length ? lay(was[at], node) : old.append(node));
  was.slice(is.length).forEach((node) => node.remove());
};
let first = true;
const take = ({ id, html }) => {
  const fresh = new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;
  const old = $(id);
  if (!old || !fresh || old.isEqualNode(fresh)) return;
  lay(old, document.importNode(fresh, true));
  if (id === 'summary') document.title = $(id).dataset.title;
  if (id === 'story' && !first) {
    const latest = document.querySelector('#story li');
    latest?.classList.add('fresh');
    $('news').textContent = latest?.querySelector('p')?.textContent ?? '';
  }
};
const connect = () => {
  const events = new EventSource('events');
  events.onopen = () => { live.className = 'on'; live.textContent = 'live'; };
  events.onmessage = (message) => { JSON.parse(message.data).forEach(take); first = false; tick(); };
  events.onerror = () => {
    live.className = 'off';
    live.textContent = 'not connected, trying again';
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  };
};
tick();
setInterval(tick, 1000);
connect();

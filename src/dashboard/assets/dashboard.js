// Live updates, times in the reader's zone, copying, and keys. Every page works without this module, but for live updates.

const $ = selector => document.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- Times: the server writes UTC; readers get their own zone, and UTC in the title.

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function words(seconds) {
  const units = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']];
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [length, unit] of units) {
    if (left >= length || (unit === 's' && !parts.length)) {
      parts.push(`${Math.floor(left / length)} ${unit}`);
      left %= length;
    }
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

function showTimes(root = document) {
  for (const time of all('time[datetime]:not([data-in])', root)) time.textContent = dateTime.format(new Date(time.dateTime));
  tick();
}

// Clocks of server and browser differ; the page says what time it was at the server when it was made.
let ahead = 0;

function tick() {
  for (const time of all('time[data-in]')) {
    const left = (Date.parse(time.dateTime) - Date.now() - ahead) / 1000;
    time.textContent = left > 0 ? `in ${words(left)}` : 'now';
  }
}

function setClock(root) {
  const now = root.querySelector('[data-now]')?.dataset.now;
  if (now) ahead = Number(now) - Date.now();
}

// --- Copying

document.addEventListener('click', async event => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent.trim();
  const label = button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
    say('Copied.');
  } catch {
    // Without https the clipboard may be closed to scripts; the text is selected, so that it can be copied by keys.
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = 'Selected';
    say('Selected. Copy it with Ctrl-C or ⌘C.');
  }
  setTimeout(() => { button.textContent = label; }, 2_000);
});

function say(text) {
  $('#said').textContent = text;
}

// --- Live: the server says that something changed; the page is read again, and its regions are exchanged.

const PATIENCE_MS = 1_000;
const live = { source: null, timer: 0, busy: false, again: false, newer: 0, lost: false };
const main = $('main');
const sign = $('#live');

// A page that answers a form is read again at an address of its own.
const here = () => main.dataset.page || location.href;

function state(name, text) {
  if (!sign) return;
  sign.dataset.state = name;
  if (sign.textContent !== text) sign.textContent = text;
}

function isRead(list) {
  const chosen = getSelection();
  return scrollY > 160 || list.matches(':hover') || list.contains(document.activeElement)
    || (!chosen.isCollapsed && list.contains(chosen.anchorNode));
}

function showNewer(count) {
  live.newer += count;
  const bar = $('#newer');
  bar.hidden = live.newer === 0;
  bar.querySelector('b').textContent = live.newer.toLocaleString();
}

async function refresh() {
  clearTimeout(live.timer);
  live.timer = 0;
  if (live.busy) {
    live.again = true;
    return;
  }
  live.busy = true;
  try {
    const answer = await fetch(here(), { headers: { Accept: 'text/html' }, cache: 'no-store' });
    if (answer.status === 401) return ended();
    if (answer.ok) exchange(new DOMParser().parseFromString(await answer.text(), 'text/html'));
  } catch {
    // The stream notices as well, and comes back.
  } finally {
    live.busy = false;
    if (live.again) {
      live.again = false;
      later();
    }
  }
}

function exchange(page) {
  setClock(page);
  for (const fresh of all('[data-region]', page)) {
    const old = document.getElementById(fresh.id);
    if (!old || old.dataset.raw === fresh.innerHTML) continue;
    // Whoever fills in a form or has opened something keeps it.
    if (old.contains(document.activeElement) && document.activeElement !== document.body) continue;
    const open = all('details[open]', old).map(one => one.id);
    old.dataset.raw = fresh.innerHTML;
    old.replaceChildren(...fresh.childNodes);
    open.forEach(id => { const one = id && document.getElementById(id); if (one) one.open = true; });
    showTimes(old);
  }
}

function later() {
  if (!live.timer) live.timer = setTimeout(refresh, PATIENCE_MS);
}

function changed(counts) {
  const list = $('[data-list]');
  if (list && (counts.created || counts.changed) && (list.dataset.list === 'older' || isRead(list))) {
    showNewer(counts.created);
    return;
  }
  if (live.newer === 0 || !list) later();
}

function follow() {
  if (live.source || document.hidden || !main.dataset.live) return;
  const source = new EventSource(main.dataset.live);
  live.source = source;
  source.addEventListener('open', () => {
    state('on', 'Live');
    // What happened while nobody listened is read now.
    if (live.lost) refresh();
    live.lost = false;
  });
  source.addEventListener('changed', event => changed(JSON.parse(event.data)));
  source.addEventListener('over', () => ended());
  source.addEventListener('error', () => {
    live.lost = true;
    state('off', 'Reconnecting…');
    if (source.readyState === EventSource.CLOSED) {
      rest();
      setTimeout(again, 3_000);
    }
  });
}

// The browser connects again by itself, but not after a refusal. Then the page itself says whether it is still there.
async function again() {
  try {
    const answer = await fetch(here(), { cache: 'no-store' });
    if ([401, 404, 421].includes(answer.status)) return ended();
  } catch {
    return setTimeout(again, 3_000);
  }
  follow();
}

function rest() {
  live.source?.close();
  live.source = null;
}

function ended() {
  rest();
  main.dataset.live = '';
  state('off', 'Ended');
  say('This page is not live any more. Load it again.');
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    rest();
    live.lost = true;
    state('idle', 'Paused');
  } else {
    follow();
  }
});
// A page that the browser keeps for "back" must not keep its stream.
addEventListener('pagehide', rest);
addEventListener('pageshow', event => { if (event.persisted) { live.lost = true; follow(); } });

$('#newer')?.addEventListener('click', event => {
  if (event.currentTarget.dataset.href) return location.assign(event.currentTarget.dataset.href);
  live.newer = 0;
  showNewer(0);
  document.activeElement.blur();
  scrollTo({ top: 0 });
  refresh();
});

// --- Keys. They can be turned off (WCAG 2.2, 2.1.4).

const KEYS_OFF = 'data-pusher-keys-off';
const help = $('#help');
const choice = $('#keys-on');

if (choice) {
  choice.checked = !localStorage.getItem(KEYS_OFF);
  choice.addEventListener('change', () => {
    if (choice.checked) localStorage.removeItem(KEYS_OFF); else localStorage.setItem(KEYS_OFF, '1');
  });
}
$('#show-help')?.addEventListener('click', () => help.showModal());

function step(by) {
  const rows = all('[data-row]');
  const at = rows.findIndex(row => row.contains(document.activeElement));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by];
  next?.querySelector('a').focus();
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(KEYS_OFF)) return;
  if (event.target.closest('input, textarea, select, dialog')) return;
  const row = document.activeElement.closest('[data-row]');
  const acts = {
    '/': () => $('[data-search]')?.focus(),
    j: () => step(1),
    k: () => step(-1),
    r: () => (row ?? document).querySelector('[data-key=r]')?.click(),
    '?': () => help?.showModal(),
  };
  const act = acts[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

// --- Login: the code of a login link stands behind the `#`, which is sent to no server. So whoever only looks at the
// link, such as a chat program that makes a preview, does not use it up, and no proxy logs it.

function redeem(form) {
  const code = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  form.elements.code.value = code;
  form.elements.token.required = false;
  form.elements.token.value = '';
  form.submit();
}

const login = $('#login');
if (login && location.hash.length > 1) {
  if (document.prerendering) document.addEventListener('prerenderingchange', () => redeem(login), { once: true });
  else redeem(login);
}
// Swagger UI keeps the tokens there that its Authorize button was given.
$('#logout')?.addEventListener('submit', () => localStorage.removeItem('authorized'));

// A message about what was just done is not part of the address that people share.
const address = new URL(location.href);
if (address.searchParams.has('done')) {
  address.searchParams.delete('done');
  history.replaceState(null, '', address);
}
setClock(document);
showTimes();
setInterval(tick, 1_000);
if (main?.dataset.live) follow();

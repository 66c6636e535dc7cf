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
// A page spends at most a twentieth of its time on being read again. So pages that are open cost a busy server little.
const REST_FACTOR = 19;
// A laptop that slept during a reading is not to sleep on.
const MAX_REST_MS = 30_000;
const live = { source: null, timer: 0, busy: false, again: false, newer: 0, stale: false, asked: false, rests: 0, old: 0 };
const main = $('main');
const sign = $('#live');

// A page that answers a form is read again at an address of its own.
const here = () => main.dataset.page || location.href;

// The regions as the server made them, before times were put into the reader's zone.
const made = new Map(all('[data-region]').map(region => [region.id, region.innerHTML]));

function state(name, text) {
  if (!sign) return;
  sign.dataset.state = name;
  if (sign.textContent !== text) sign.textContent = text;
}

// Whether somebody fills in, selects or has the focus in this part of the page.
function isUsed(part) {
  const chosen = getSelection();
  return part.contains(document.activeElement) || (!chosen.isCollapsed && part.contains(chosen.anchorNode));
}

const isRead = list => scrollY > 160 || list.matches(':hover') || isUsed(list);

function showNewer(count) {
  live.newer = count;
  const bar = $('#newer');
  bar.hidden = count === 0;
  bar.querySelector('b').textContent = count.toLocaleString();
}

async function refresh() {
  clearTimeout(live.timer);
  live.timer = 0;
  if (live.busy) {
    live.again = true;
    return;
  }
  live.busy = true;
  live.old = 0;
  try {
    const began = performance.now();
    const answer = await fetch(here(), { headers: { Accept: 'text/html' }, cache: 'no-store' });
    const text = await answer.text();
    const now = performance.now();
    live.rests = now + Math.min(REST_FACTOR * (now - began), MAX_REST_MS);
    if ([401, 404].includes(answer.status)) return ended();
    if (answer.ok) exchange(new DOMParser().parseFromString(text, 'text/html'));
    else state('off', 'Cannot be read');
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

// Figures that the server has kept for a moment are read once more when they are old, even if nothing changes.
function setAge(root) {
  const { again } = root.querySelector('main')?.dataset ?? {};
  live.old = again ? performance.now() + Number(again) : 0;
}

function exchange(page) {
  setClock(page);
  setAge(page);
  // Whoever asks for what is new sees it, even with the pointer over the list.
  const { asked } = live;
  live.asked = live.stale = false;
  for (const fresh of all('[data-region]', page)) {
    const old = document.getElementById(fresh.id);
    if (!old || made.get(fresh.id) === fresh.innerHTML) continue;
    if (old.dataset.list && !asked && (old.dataset.list === 'older' || isRead(old))) {
      exchangeRows(old, fresh);
      continue;
    }
    if (isUsed(old)) {
      live.stale = true;
      continue;
    }
    const open = all('details[open]', old).map(one => one.id);
    made.set(fresh.id, fresh.innerHTML);
    old.replaceChildren(...fresh.childNodes);
    open.forEach(id => { const one = id && document.getElementById(id); if (one) one.open = true; });
    showTimes(old);
    if (old.dataset.list) showNewer(0);
  }
}

// Of a list that is being read, rows change where they stand. What is new is only counted.
function exchangeRows(old, fresh) {
  const rows = all('[data-row]', fresh);
  for (const row of rows) {
    const mine = document.getElementById(row.id);
    if (!mine || isUsed(mine)) continue;
    mine.replaceChildren(...row.childNodes);
    showTimes(mine);
  }
  if (old.dataset.list === 'older') return;
  live.stale = true;
  if (old.dataset.filtered === undefined) return;
  const known = rows.findIndex(row => document.getElementById(row.id));
  showNewer(known < 0 ? rows.length : known);
}

function later() {
  if (!live.timer) live.timer = setTimeout(refresh, Math.max(PATIENCE_MS, live.rests - performance.now()));
}

function changed(counts) {
  const list = $('[data-list]');
  const isStill = list && (list.dataset.list === 'older' || isRead(list));
  if (isStill && counts.created && list.dataset.filtered === undefined) showNewer(live.newer + counts.created);
  later();
}

function follow() {
  if (live.source || document.hidden || !main.dataset.live) return;
  const source = new EventSource(main.dataset.live);
  live.source = source;
  source.addEventListener('open', () => {
    state('on', 'Live');
    // What happened while nobody listened is read now: also between the making of the page and this moment.
    refresh();
  });
  source.addEventListener('changed', event => changed(JSON.parse(event.data)));
  source.addEventListener('over', () => ended());
  source.addEventListener('error', () => {
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
    state('idle', 'Paused');
  } else {
    follow();
  }
});
// A page that the browser keeps for "back" must not keep its stream.
addEventListener('pagehide', rest);
addEventListener('pageshow', event => { if (event.persisted) follow(); });

$('#newer')?.addEventListener('click', event => {
  if (event.currentTarget.dataset.href) return location.assign(event.currentTarget.dataset.href);
  showNewer(0);
  document.activeElement.blur();
  getSelection().removeAllRanges();
  scrollTo({ top: 0 });
  live.asked = true;
  refresh();
});

// --- Keys. They can be turned off (WCAG 2.2, 2.1.4).

const KEYS_OFF = 'data-pusher-keys-off';

// A browser may close its storage to pages; then the choice lasts as long as the page.
const stored = (() => {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
})();
let keysOff = Boolean(stored?.getItem(KEYS_OFF));

const help = $('#help');
const choice = $('#keys-on');

if (choice) {
  choice.checked = !keysOff;
  choice.addEventListener('change', () => {
    keysOff = !choice.checked;
    if (keysOff) stored?.setItem(KEYS_OFF, '1'); else stored?.removeItem(KEYS_OFF);
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
  if (event.ctrlKey || event.metaKey || event.altKey || keysOff) return;
  if (event.target.closest('input, textarea, select, dialog')) return;
  const row = document.activeElement.closest('[data-row]');
  // Without a row only the button of the page itself counts: nothing is sent that nobody chose.
  const retry = row ? row.querySelector('[data-key=r]') : all('[data-key=r]').find(one => !one.closest('[data-row]'));
  const search = $('[data-search]');
  const acts = {
    '/': search && (() => search.focus()),
    j: () => step(1),
    k: () => step(-1),
    r: retry && (() => retry.click()),
    '?': help && (() => help.showModal()),
  };
  const act = acts[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

// --- The preview of settings follows the typing.

const settings = $('form[data-preview]');
let previews = 0;

async function preview() {
  const number = ++previews;
  try {
    const body = new URLSearchParams(new FormData(settings));
    const answer = await fetch(settings.dataset.preview, { method: 'POST', headers: { Accept: 'text/html' }, body });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = page.getElementById('preview');
    // An answer that was overtaken by a later one is old.
    if (fresh && number === previews) $('#preview').replaceChildren(...fresh.childNodes);
  } catch {
    // The next key asks again.
  }
}

let previewTimer = 0;
settings?.addEventListener('input', () => {
  clearTimeout(previewTimer);
  previewTimer = setTimeout(preview, 300);
});

// --- Login: the code of a login link stands behind the `#`, which is sent to no server. So whoever only looks at the
// link, such as a chat program that makes a preview, does not use it up, and no proxy logs it.

// The form also stands at the addresses of other pages, whose fragments are places on them.
const isCode = () => location.pathname === '/login' && /^#[0-9a-f]{8}[\w-]{43}$/.test(location.hash);

function redeem(form) {
  const code = location.hash.slice(1);
  history.replaceState(null, '', location.pathname);
  form.elements.code.value = code;
  form.elements.token.required = false;
  form.elements.token.value = '';
  form.submit();
}

// Whoever has a session is led on, but not past a code: its session takes the place of the one that is there.
function enter() {
  if (isCode()) redeem(login);
  else if (login.dataset.on) location.replace(login.dataset.on);
}

const login = $('#login');
if (login) {
  if (document.prerendering) document.addEventListener('prerenderingchange', enter, { once: true });
  else enter();
  // A link that is opened where the form is already changes the address alone.
  addEventListener('hashchange', () => { if (isCode()) enter(); });
}
// Swagger UI keeps the tokens there that its Authorize button was given.
$('#logout')?.addEventListener('submit', () => stored?.removeItem('authorized'));

// A message about what was just done is not part of the address that people share.
const address = new URL(location.href);
if (address.searchParams.has('done')) {
  address.searchParams.delete('done');
  address.hash = '';
  history.replaceState(null, '', address);
}
// The address of a form shows nothing when it is loaded again; that of its page does.
if (main?.dataset.page) history.replaceState(null, '', main.dataset.page + location.hash);
setClock(document);
setAge(document);
showTimes();
setInterval(() => {
  tick();
  // What was left out because somebody read or used it is brought up to date afterwards.
  const list = $('[data-list]');
  const now = performance.now();
  if (document.hidden || !live.source || live.rests > now) return;
  if ((live.old && live.old < now) || (live.stale && !(list && isRead(list)) && !isUsed(main))) refresh();
}, 1_000);
if (main?.dataset.live) follow();

// Runs in an isolated world of the page before any script of the page, which can neither see nor change it.
// It keeps what the browser reports about its own work; `collect` gives it back, bounded, as JSON.
(() => {
  if (window !== window.top) return;
  const SHIFTS_MAX = 3000, TASKS_MAX = 2000, RESOURCES_MAX = 1000, TEXT_MAX = 120, URL_MAX = 500, LISTED_MAX = 20, PAINT_WAIT_MS = 10000,
    HTML_MAX = 1000000;
  const shifts = [], tasks = [], resources = [], observers = [];
  let fcp = null, lcp = null, busyUntil = 0;

  const text = (value, max) => String(value ?? '').slice(0, max);
  const address = url => (/^data:/i.test(url) ? 'data:' : text(url, URL_MAX));
  const name = node => {
    try {
      const parts = [];
      let element = node && node.nodeType !== 1 ? node.parentElement : node;
      for (let depth = 0; element && depth < 3; depth++, element = element.parentElement) {
        const classes = [...element.classList].slice(0, 2).join('.');
        parts.unshift(text(element.localName, 40) + (element.id ? '#' + element.id : classes ? '.' + classes : ''));
      }
      return text(parts.join(' > '), TEXT_MAX);
    } catch { return '?'; }
  };

  const observe = (type, each) => {
    try {
      const handle = entries => { for (const entry of entries) each(entry); };
      const observer = new PerformanceObserver(list => handle(list.getEntries()));
      observer.observe({ type, buffered: true });
      observers.push(() => handle(observer.takeRecords()));
    } catch { /* a kind that this browser does not know is not observed */ }
  };
  observe('paint', entry => { if (entry.name === 'first-contentful-paint') fcp = entry.startTime; });
  observe('largest-contentful-paint', entry => {
    const url = entry.url ? address(entry.url) : null;
    lcp = { at: entry.startTime, element: name(entry.element), url, full: entry.url };
  });
  observe('layout-shift', entry => {
    if (entry.hadRecentInput || shifts.length >= SHIFTS_MAX) return;
    const elements = (entry.sources || []).slice(0, 3).map(source => name(source.node));
    shifts.push({ at: entry.startTime, value: entry.value, elements });
  });
  observe('longtask', entry => {
    busyUntil = Math.max(busyUntil, entry.startTime + entry.duration);
    if (tasks.length < TASKS_MAX) tasks.push([entry.startTime, entry.duration]);
  });
  observe('resource', entry => {
    if (resources.length < RESOURCES_MAX) resources.push(entry);
  });

  const isUnsized = image => {
    try {
      if (!image.getClientRects().length) return false;
      const style = image.computedStyleMap();
      const is = (property, ...values) => values.includes(String(style.get(property)));
      if (is('position', 'absolute', 'fixed')) return false;
      const ratio = !is('aspect-ratio', 'auto') || (image.hasAttribute('width') && image.hasAttribute('height'));
      const width = !is('width', 'auto'), height = !is('height', 'auto');
      return !(ratio || (width && height));
    } catch { return false; }
  };

  // A page that was not painted yet is not idle, unless it seems to have nothing to paint.
  globalThis.hermesIdle = () => {
    const now = performance.now();
    return fcp === null && now < PAINT_WAIT_MS ? -1 : Math.round(now - busyUntil);
  };
  globalThis.hermesCollect = () => {
    for (const flush of observers) flush();
    const navigation = performance.getEntriesByType('navigation')[0];
    const blocking = resources.filter(entry => entry.renderBlockingStatus === 'blocking').slice(0, 50)
      .map(entry => ({ url: address(entry.name), from: entry.startTime, to: entry.responseEnd }));
    let largest = null;
    if (lcp) {
      const { full, ...rest } = lcp;
      const image = full && resources.find(entry => entry.name === full);
      largest = { ...rest, resource: image ? [image.requestStart || image.startTime, image.responseEnd] : null };
    }
    const html = document.documentElement ? document.documentElement.outerHTML : '';
    const images = [...document.images].slice(0, 5000).filter(isUnsized);
    return JSON.stringify({
      html: html.length <= HTML_MAX ? html : null,
      now: performance.now(), url: text(location.href, 2000), ttfb: navigation ? navigation.responseStart : null,
      fcp, lcp: largest, shifts, tasks, blocking, elements: document.getElementsByTagName('*').length,
      unsized_images: { total: images.length, first: images.slice(0, LISTED_MAX).map(image => address(image.currentSrc || image.src) || name(image)) },
    });
  };
})();

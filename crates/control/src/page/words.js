// Words, numbers and elements of the page.

export const count = (number) => Math.round(number).toLocaleString("en");
export const short = (number) => {
  const size = Math.abs(number);
  if (size >= 1e4) return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(number);
  return String(Number(number.toPrecision(3)));
};
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");
export const plain = (code) => String(code).replaceAll("_", " ");

export function lasting(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

export function service(one) {
  if (!one) return "";
  const name = { 6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6" }[one.protocol] ?? one.protocol;
  return one.port ? `${name}/${one.port}` : `closed ports of ${name}`;
}

export function subject(alert) {
  if (alert.peer) return alert.peer;
  if (alert.site === "net") return "this host's network";
  if (alert.site?.host) return `${alert.site.host}, of this host`;
  return `service ${service(alert.site?.service ?? alert.service)}`;
}

export const ANSWERS = {
  "blocked": ["dropped", "bad", "dropped"],
  "rate-limited": ["limited", "warn", "limited"],
  "shadowed": ["would be dropped", "warn", "limited"],
  "would-block": ["would be dropped", "warn", "limited"],
  "refused": ["told only", "", "told"],
  "failed": ["block failed", "bad", "told"],
};

// ---- elements -------------------------------------------------------------------------------------

/** An element with attributes and children; text is never markup. */
export function make(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null && child !== ""));
  return element;
}

export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
export const button = (text, label, click) => make("button", { type: "button", "aria-label": label, click }, text);

// SPDX-License-Identifier: GPL-2.0
// Make elements. Text goes in as text alone: nothing here parses markup.
"use strict";

const $ = (id) => document.getElementById(id);

// Make an element with attributes and children; a string is text, null is nothing.
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") node.append(child);
  }
  return node;
}

// Return a relative link to a file of the run's folder; a name cannot become a scheme or a host.
function fileLink(path, text) {
  const href = "./" + path.split("/").map(encodeURIComponent).join("/");
  return el("a", { href }, text || path);
}

function number(value) {
  return value.toLocaleString("en-US").replaceAll(",", " ");
}

function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

// SPDX-License-Identifier: GPL-2.0
// Hide the plain rows before the browser lays them out; show them if the page's script fails.
"use strict";
document.documentElement.classList.add("scripted");
addEventListener("error", () => document.documentElement.classList.remove("scripted"));

"use strict";
publish({ ready: Promise.resolve(), state: () => ({}) });

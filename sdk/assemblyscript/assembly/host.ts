// What the host offers a plugin. A module imports only what it calls.
import { Span, lenOf, ptrOf } from "./span";

// Log levels, as the host knows them.
export const TRACE: i32 = 0;
export const DEBUG: i32 = 1;
export const INFO: i32 = 2;
export const WARN: i32 = 3;
export const ERROR: i32 = 4;

@external("wse", "log")
declare function hostLog(level: i32, ptr: usize, len: u32): void;

@external("wse", "metric")
declare function hostMetric(ptr: usize, len: u32, value: f64): void;

// log writes a line to the engine's log, which adds the plugin's name and version and caps how much it takes.
export function log(level: i32, text: Span): void {
  hostLog(level, ptrOf(text), lenOf(text));
}

// metric adds value, at least 0, to the counter of that name, one of the plugin's own.
export function metric(name: Span, value: f64): void {
  hostMetric(ptrOf(name), lenOf(name), value);
}

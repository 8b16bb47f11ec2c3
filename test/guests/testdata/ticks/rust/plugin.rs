//! Reads ticks: answers {"consumed":n,"out":[]} for a batch whose volumes add up to what open was told, an error for any other.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, State, Ticks, Writer, NO, YES};

wse::plugin! { strategy_open: open, strategy_ticks: ticks, strategy_update: update }

static VOLUME: State<i64> = State::new(0);
static HANDLE: State<i64> = State::new(0);

fn open(document: Doc, _: &mut Writer) -> Answer {
    let mut json = document.open();
    json.object();
    while json.member() {
        let state = if json.key_is("handle") { &HANDLE } else { &VOLUME };
        state.set(json.skip().and_then(Doc::integer).unwrap_or(0));
    }
    if json.close() {
        YES
    } else {
        wse::error("not JSON")
    }
}

fn ticks(batch: Doc, out: &mut Writer) -> Answer {
    let all = match Ticks::of(&batch) {
        Some(all) if all.handle as i64 == HANDLE.get() => all,
        _ => return wse::error("no ticks"),
    };
    let mut sum = 0.0;
    for (i, t) in all.iter().enumerate() {
        if t.time != 1000.0 + i as f64 || t.price != 0.5 || t.quote != t.price * t.volume {
            return wse::error("another tick");
        }
        sum += t.volume;
    }
    if sum != VOLUME.get() as f64 {
        return wse::error("another sum");
    }
    out.put("{\"consumed\":");
    out.put_int(all.len() as i64);
    out.put(",\"out\":[]}");
    out.result()
}

fn update(document: Doc, _: &mut Writer) -> Answer {
    if document.is_empty() {
        YES
    } else {
        NO
    }
}

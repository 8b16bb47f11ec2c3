//! {{.Name}} buys when the price rises above one limit, and sells when it falls below another.
#![no_std]
#![forbid(unsafe_code)]

use wse::{Answer, Doc, Handles, Opening, Order, Says, Ticks, Update, Writer, YES};

wse::plugin! { strategy_open: open, strategy_ticks: ticks, strategy_update: update }

/// What is kept for each handle, which is a symbol of the session.
struct Series {
    above: f64, // of the configuration
    below: f64,
    notional: f64,
    position: f64, // as told last
    waiting: bool, // an order is out
    orders: u32,   // so far
}

static ALL: Handles<Series, 64> = Handles::new();

/// open reads {"handle":1,"strategy_config":{"above":N,"below":N,"notional":N}, …}.
fn open(document: Doc, _: &mut Writer) -> Answer {
    let (o, config) = match Opening::of(document) {
        Some(Opening { config: None, .. }) | None => return wse::error("not an opening"),
        Some(o) => (o, o.config.unwrap_or(document)),
    };
    let mut s = Series { above: 0.0, below: 0.0, notional: 1000.0, position: o.position, waiting: false, orders: 0 };
    let mut json = config.open();
    json.object();
    while json.member() {
        if json.key_is("above") {
            s.above = json.float().unwrap_or(0.0);
        } else if json.key_is("below") {
            s.below = json.float().unwrap_or(0.0);
        } else if json.key_is("notional") {
            s.notional = json.float().unwrap_or(0.0);
        } else {
            json.skip();
        }
    }
    if s.below <= 0.0 || s.above <= s.below {
        return wse::error("strategy_config: above and below must be numbers over 0, above the larger");
    }
    if ALL.open(o.handle, s) {
        YES
    } else {
        wse::error("more than 64 handles")
    }
}

fn ticks(batch: Doc, out: &mut Writer) -> Answer {
    let batch = match Ticks::of(&batch) {
        Some(batch) => batch,
        None => return wse::error("not a batch of ticks"),
    };
    let run = |s: &mut Series| {
        let mut says = Says::to(out);
        for (i, tick) in batch.iter().enumerate() {
            if says.must_stop() {
                return says.done(i, batch.len());
            }
            if s.step(i, tick.price, &mut says) {
                return says.done(i + 1, batch.len()); // the engine tells what became of it, and goes on with the rest
            }
        }
        says.done(batch.len(), batch.len())
    };
    ALL.with(batch.handle, run).unwrap_or(wse::error("this handle is not open"))
}

impl Series {
    /// step takes one tick and says whether it ordered.
    fn step(&mut self, at: usize, price: f64, says: &mut Says) -> bool {
        if self.waiting {
            return false;
        }
        if self.position <= 0.0 && price > self.above {
            says.signal(at, "S1", None, &[("price", price)]);
            says.state(at, "entry_evaluation");
            self.order(at, Order { notional: self.notional, reason: "above", ..Order::default() }, says);
            return true;
        }
        if self.position > 0.0 && price < self.below {
            says.state(at, "close_order_evaluation");
            self.order(at, Order { sell: true, quantity: self.position, reason: "below", ..Order::default() }, says);
            return true;
        }
        false
    }

    /// order makes an order, o1, o2, …; what becomes of it is told by update.
    fn order(&mut self, at: usize, order: Order, says: &mut Says) {
        self.waiting = true;
        self.orders += 1;
        let (mut id, mut from, mut rest) = ([0; 12], 12, self.orders);
        while rest > 0 {
            from -= 1;
            id[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        id[from - 1] = b'o';
        says.order(at, &Order { id: &id[from - 1..], ..order });
    }
}

/// update is told what became of orders, and what is held now.
fn update(document: Doc, out: &mut Writer) -> Answer {
    let u = match Update::of(document) {
        Some(u) => u,
        None => return wse::error("not an update"),
    };
    let told = |s: &mut Series| {
        let mut says = Says::to(out);
        s.position = u.position;
        for _ in u.events() {
            s.waiting = false;
            says.state(0, if s.position > 0.0 { "position_active" } else { "exited" });
        }
        says.done(0, 0)
    };
    ALL.with(u.handle, told).unwrap_or(wse::error("this handle is not open"))
}

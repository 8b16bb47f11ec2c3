// Computes what a backtest comes to, from the CSV file of prices and the strategy's configuration alone. It is written from
// the documents (PROTOCOL.md §3.4 and §3.5, the READMEs of plugins/strategy and plugins/indicators, the package comments of
// engine/trading/execution and ledger) and shares no line with the engine: another language, no module but Node's own, and a
// plain walk over the rows instead of batches. Money is BigInt in units of 10^-8, which is exact; indicators and ratios are doubles.
//
//   node recompute.mjs '{"prices":"data/sp500.csv","symbol":"SP500","time":"date","price":"close","strategy":"strategies/trend.json"}'
//
// Further members: ticks, to stop behind the first so many; balance, fee_bps, slippage_bps; points, of the equity curve;
// order, "file" for the rows as the file has them instead of by time. It prints results as the engine does, but with
// decimal numbers as strings.
import { readFileSync } from "node:fs";

const spec = { balance: "10000", fee_bps: "10", slippage_bps: "5", points: 500, order: "time", ...JSON.parse(process.argv[2]) };
const config = JSON.parse(readFileSync(spec.strategy, "utf8"));

// Decimal numbers: {n, scale} is n / 10^scale.
function decimal(text) {
  const [whole, part = ""] = String(text).split(".");
  return { n: BigInt(whole + part), scale: part.length };
}
const ten = (scale) => 10n ** BigInt(scale);
function text({ n, scale }) {
  const digits = (n < 0n ? -n : n).toString().padStart(scale + 1, "0");
  const part = digits.slice(digits.length - scale).replace(/0+$/, "");
  return (n < 0n ? "-" : "") + digits.slice(0, digits.length - scale) + (scale && part ? "." + part : "");
}
function halfEven(n, d) {
  const sign = n < 0n ? -1n : 1n, abs = n < 0n ? -n : n, q = abs / d, twice = 2n * (abs % d);
  return sign * (twice > d || (twice === d && q % 2n === 1n) ? q + 1n : q);
}
// An amount is a BigInt of units.
const UNITS = 8, UNIT = ten(UNITS);
const amount = (x) => halfEven(decimal(x).n * UNIT, ten(decimal(x).scale));
const money = (a) => text({ n: a, scale: UNITS });
const float = (a) => Number(money(a));
const worth = (quantity, price) => halfEven(quantity * price.n, ten(price.scale));
const FEE = amount(spec.fee_bps), SLIPPAGE = amount(spec.slippage_bps), BALANCE = amount(spec.balance), ALL = 10000n * UNIT;

// rows are the prices, in the order of time and then of symbols.
function rows() {
  const lines = readFileSync(spec.prices, "utf8").trim().split("\n").map((line) => line.trim().split(","));
  const at = (name) => lines[0].indexOf(name);
  const list = lines.slice(1).map((cells) => ({
    symbol: at("symbol") < 0 ? spec.symbol : cells[at("symbol")],
    time: Date.parse(/^\d{4}-/.test(cells[at(spec.time)]) ? cells[at(spec.time)] : cells[at(spec.time)] + " UTC"),
    price: decimal(text(decimal(cells[at(spec.price)]))), // without zeros at the end
  }));
  if (spec.order === "time") list.sort((a, b) => a.time - b.time || (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0));
  return list.slice(0, spec.ticks ?? list.length);
}

// indicator is the value of one at the last of some prices, undefined where it has none yet.
function indicator(id, prices) {
  const [, name, period] = /^([A-Z_]+?)(?:_(\d+))?$/.exec(id.toUpperCase());
  const n = Number(period), last = prices.length - 1;
  switch (name) {
    case "PRICE":
      return prices[last];
    case "PRICE_CHANGE_PCT":
      return last < n ? undefined : (100 * (prices[last] - prices[last - n])) / prices[last - n];
    case "RSI": {
      if (last < n) return undefined;
      let gain = 0, loss = 0;
      for (let i = 1; i <= last; i++) {
        const up = Math.max(prices[i] - prices[i - 1], 0), down = Math.max(prices[i - 1] - prices[i], 0);
        gain = i <= n ? gain + up / n : (gain * (n - 1) + up) / n;
        loss = i <= n ? loss + down / n : (loss * (n - 1) + down) / n;
      }
      return gain + loss === 0 ? 50 : (100 * gain) / (gain + loss);
    }
  }
  throw new Error(`no indicator ${id}`);
}
const compare = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b, "==": (a, b) => a === b, "!=": (a, b) => a !== b };
const holds = (section, prices) =>
  section.conditions.length > 0 &&
  section.conditions.every((c) => {
    const x = indicator(c.indicatorId, prices);
    return x !== undefined && compare[c.operator](x, c.value);
  });

// An account follows money and how far it fell.
class Account {
  realized = 0n; fees = 0n; unrealized = 0n; peak = BALANCE; fall = 0n; percent = 0;
  count = { ticks: 0, signals: 0, placed: 0, filled: 0, cancelled: 0, trades: 0, wins: 0, losses: 0 };
  get net() { return this.realized - this.fees + this.unrealized; }
  get equity() { return BALANCE + this.net; }
  look() {
    if (this.equity > this.peak) this.peak = this.equity;
    const fall = this.peak - this.equity;
    if (fall > this.fall) this.fall = fall;
    this.percent = Math.max(this.percent, (100 * float(fall)) / float(this.peak));
  }
  metrics() {
    const c = this.count;
    return {
      ticks_processed: c.ticks, ticks_out_of_order: 0, signals_detected: c.signals, orders_placed: c.placed, orders_filled: c.filled,
      orders_rejected: 0, orders_cancelled: c.cancelled, trades: c.trades, winning_trades: c.wins, losing_trades: c.losses,
      win_rate: c.trades ? c.wins / c.trades : 0, realized_pnl: money(this.realized), unrealized_pnl: money(this.unrealized),
      fees: money(this.fees), net_pnl: money(this.net), max_drawdown: money(this.fall), max_drawdown_pct: this.percent,
    };
  }
}

const session = new Account(), symbols = new Map(), fills = [], trades = [], days = new Map();
const short = (config.direction ?? "LONG").toUpperCase() === "SHORT";
let orders = 0;

// A Symbol is what the strategy does on one symbol: its state, its position, and the order that waits.
class Symbol_ {
  account = new Account(); prices = []; state = "monitoring"; blocked = false; armed = true; until = -Infinity;
  quantity = 0n; cost = 0n; entryFee = 0n; order = null; told = 0; known = float(BALANCE);
  constructor(name) { this.name = name; }
  book(f) { f(this.account); f(session); }
  count(what) { this.book((a) => a.count[what]++); }

  // tick is what happens at a row: the order that waits is filled, the position is valued, the strategy decides.
  tick(row) {
    const filled = this.order !== null;
    if (filled) this.fill(row);
    this.prices.push(Number(text(row.price)));
    this.price = row.price;
    this.count("ticks");
    this.value();
    // Equity is told with an own fill, and when others moved it with the first tick of another minute, which here is every one.
    if (filled || this.told !== fills.length) [this.known, this.told] = [float(session.equity), fills.length];
    this.decide(row.time);
  }

  value() {
    const unrealized = worth(this.quantity, this.price) - this.cost, change = unrealized - this.account.unrealized;
    this.book((a) => { a.unrealized += change; });
  }

  fill(row) {
    const { number, sell, notional, reason } = this.order, opens = this.quantity === 0n;
    const price = decimal(text({ n: row.price.n * (sell ? ALL - SLIPPAGE : ALL + SLIPPAGE), scale: row.price.scale + 4 + UNITS }));
    const quantity = opens ? (notional * ten(price.scale)) / price.n : this.order.quantity; // rounded down
    const paid = worth(quantity, price), fee = halfEven(paid * FEE, ALL), sign = sell ? -1n : 1n;
    this.order = null;
    fills.push({
      strategy: config.strategy_name, symbol: this.name, side: sell ? "sell" : "buy", order_type: "market", number, status: "filled",
      ...(opens ? { notional: money(notional) } : { quantity: money(quantity) }),
      filled_quantity: money(quantity), fill_price: text(price), fee: money(fee), reason, timestamp: row.time,
    });
    this.count("filled");
    this.book((a) => { a.fees += fee; });
    if (opens) {
      Object.assign(this, { quantity: sign * quantity, cost: sign * paid, entryFee: fee, entry: price, entryTime: row.time, state: "position_active" });
      return;
    }
    const realized = -sign * paid - this.cost, net = realized - this.entryFee - fee;
    this.book((a) => { a.realized += realized; });
    this.count("trades");
    if (net !== 0n) this.count(net > 0n ? "wins" : "losses");
    trades.push({
      strategy: config.strategy_name, symbol: this.name, side: short ? "SHORT" : "LONG", quantity: money(quantity), entry_price: text(this.entry),
      exit_price: text(price), entry_time: new Date(this.entryTime).toISOString(), exit_time: new Date(row.time).toISOString(),
      realized_pnl: money(realized), fees: money(this.entryFee + fee), net_pnl: money(net), reason,
    });
    Object.assign(this, { quantity: 0n, cost: 0n, entryFee: 0n });
    if (this.state === "closing") this.state = "monitoring";
  }

  give(order) {
    this.order = { number: ++orders, ...order };
    this.count("placed");
  }
  close(reason) {
    this.give({ sell: this.quantity > 0n, quantity: this.quantity < 0n ? -this.quantity : this.quantity, reason });
  }

  // decide is the strategy: the five sections.
  decide(time) {
    const crash = holds(config.emergency_exit, this.prices);
    if (this.state === "emergency") {
      if (!crash) this.armed = true;
      if (this.quantity !== 0n || time < this.until) return;
      this.state = "monitoring";
    }
    if (this.state === "cancelled") this.state = "monitoring";
    if (this.state === "monitoring") {
      if (!holds(config.s1_signal, this.prices)) this.blocked = false;
      else if (!this.blocked && !crash) {
        Object.assign(this, { signalTime: time, armed: true, state: "signal" });
        this.count("signals");
        this.evaluate(time);
      }
      return;
    }
    if (!crash) this.armed = true;
    else if (this.armed) {
      Object.assign(this, { armed: false, blocked: true, until: time + config.emergency_exit.cooldownMinutes * 60000, state: "emergency" });
      if (this.quantity !== 0n && config.emergency_exit.actions.closePosition) this.close("emergency_exit");
      return;
    }
    if (this.state === "signal") this.evaluate(time);
    else if (this.state === "position_active") this.guard();
  }

  // evaluate enters, or gives a signal up.
  evaluate(time) {
    const { timeoutSeconds } = config.o1_cancel, { type, value } = config.z1_entry.positionSize;
    if ((timeoutSeconds && time - this.signalTime >= timeoutSeconds * 1000) || holds(config.o1_cancel, this.prices)) {
      Object.assign(this, { state: "cancelled", blocked: true });
    } else if (holds(config.z1_entry, this.prices)) {
      this.state = "entering";
      this.give({ sell: short, notional: amount(type === "fixed" ? value : (this.known * value) / 100), reason: "z1_entry" });
    }
  }

  // guard closes a position that is to be closed.
  guard() {
    const price = this.prices.at(-1), entry = Number(text(this.entry)), way = short ? -1 : 1, { stopLoss, takeProfit } = config.z1_entry;
    const beyond = (limit, up) => (up ? price >= limit : price <= limit);
    let reason = holds(config.ze1_close, this.prices) ? "ze1_close" : "";
    if (takeProfit?.enabled && beyond(entry * (1 + (way * takeProfit.offsetPercent) / 100), !short)) reason = "take_profit";
    if (stopLoss?.enabled && beyond(entry * (1 - (way * stopLoss.offsetPercent) / 100), short)) reason = "stop_loss";
    if (!reason) return;
    this.state = "closing";
    this.close(reason);
  }
}

// The equity curve: a point for each interval that had a tick.
let points = [], interval = 1000;
function point(time) {
  const put = (list, p) => {
    if (list.length && Math.floor(list.at(-1).time / interval) === Math.floor(p.time / interval)) list.pop();
    list.push(p);
    return list;
  };
  points = put(points, { time, equity: session.equity });
  while (points.length > spec.points) {
    interval *= 2;
    points = points.reduce(put, []);
  }
}

const DAY = 86400000;
const list = rows();
for (const row of list) if (!symbols.has(row.symbol)) symbols.set(row.symbol, new Symbol_(row.symbol));
for (const row of list) {
  symbols.get(row.symbol).tick(row);
  for (const s of symbols.values()) s.account.look();
  session.look();
  point(row.time);
  days.set(Math.floor(row.time / DAY), session.equity);
}
for (const s of symbols.values()) {
  if (s.order) s.count("cancelled"); // the session has ended
}

// ratios are those of daily returns; a day without a tick returns 0.
function ratios() {
  const first = Math.floor(list[0].time / DAY), last = Math.floor(list.at(-1).time / DAY), returns = [];
  for (let day = first, before = BALANCE; day <= last; day++) {
    const equity = days.get(day) ?? before;
    returns.push(float(equity) / float(before) - 1);
    before = equity;
  }
  const n = returns.length, mean = returns.reduce((a, r) => a + r, 0) / n;
  const deviation = Math.sqrt(returns.reduce((a, r) => a + (r - mean) ** 2, 0) / (n - 1));
  const downside = Math.sqrt(returns.reduce((a, r) => a + Math.min(r, 0) ** 2, 0) / n);
  const of = (d) => (n < 2 || !(d > 0) ? null : (mean / d) * Math.sqrt(365));
  return { sharpe: of(deviation), sortino: of(downside) };
}

const named = [...symbols.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
const positions = (of) =>
  named.filter((s) => of(s.name) && s.quantity !== 0n).map((s) => ({
    strategy: config.strategy_name, symbol: s.name, quantity: money(s.quantity), avg_price: text(s.entry), last_price: text(s.price),
    unrealized_pnl: money(s.account.unrealized),
  }));
const result = (account, of, more) => ({
  metrics: account.metrics(), positions: positions(of), trades_list: trades.filter((t) => of(t.symbol)), rejections: {}, ...more,
});
const bySymbol = Object.fromEntries(named.map((s) => [s.name, s.account.metrics()])), all = () => true;
const whole = result(session, all, {
  symbols: bySymbol, strategies: { [config.strategy_name]: session.metrics() },
  equity_curve: points.map((p) => ({ timestamp: new Date(p.time).toISOString(), equity: money(p.equity) })),
});
whole.metrics = {
  ...whole.metrics, ticks_invalid: 0, initial_balance: money(BALANCE), balance: money(BALANCE + session.realized - session.fees), equity: money(session.equity), ...ratios(),
};
const out = {
  session_results: whole,
  symbol_results: Object.fromEntries(named.map((s) =>
    [s.name, result(s.account, (name) => name === s.name, { strategies: { [config.strategy_name]: s.account.metrics() } })])),
  strategy_results: { [config.strategy_name]: result(session, all, { symbols: bySymbol }) },
  fills,
};
process.stdout.write(JSON.stringify(out, null, 1) + "\n");
